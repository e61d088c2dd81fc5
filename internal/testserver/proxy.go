package testserver

import (
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// A Proxy stands between a client and a server and breaks what tests want broken.
// All methods are safe for concurrent use.
type Proxy struct {
	Addr string // of the loopback interface, which the client dials

	network, upstream string
	hole              atomic.Bool
	accepted          atomic.Int64
	wg                sync.WaitGroup

	mu       sync.Mutex
	listener net.Listener // nil while the proxy is down
	conns    map[net.Conn]bool
}

// NewProxy starts a proxy of the server at the address upstream. It ends with the
// test, connections and goroutines included.
func NewProxy(t testing.TB, network, upstream string) *Proxy {
	t.Helper()
	p := &Proxy{Addr: "127.0.0.1:0", network: network, upstream: upstream, conns: map[net.Conn]bool{}}
	p.Up(t)
	t.Cleanup(p.Down)
	return p
}

// BlackHole makes the proxy swallow what the server sends, and keep the connections:
// what a network does that has lost the way back.
func (p *Proxy) BlackHole(on bool) { p.hole.Store(on) }

// Accepted returns the number of connections that there were so far.
func (p *Proxy) Accepted() int64 { return p.accepted.Load() }

// Drop closes every connection. New ones are accepted.
func (p *Proxy) Drop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for conn := range p.conns {
		conn.Close()
	}
}

// Down closes every connection and refuses new ones.
func (p *Proxy) Down() {
	p.mu.Lock()
	if p.listener != nil {
		p.listener.Close()
		p.listener = nil
	}
	p.mu.Unlock()
	p.Drop()
	p.wg.Wait()
}

// Up accepts connections again, at the same address.
func (p *Proxy) Up(t testing.TB) {
	t.Helper()
	listener, err := net.Listen("tcp", p.Addr)
	if err != nil {
		t.Fatal(err)
	}
	p.mu.Lock()
	p.listener, p.Addr = listener, listener.Addr().String()
	p.mu.Unlock()
	p.wg.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			p.accepted.Add(1)
			p.join(listener, conn)
		}
	})
}

// join connects client with the server, unless listener has gone meanwhile.
func (p *Proxy) join(listener net.Listener, client net.Conn) {
	server, err := net.Dial(p.network, p.upstream)
	if err != nil {
		client.Close()
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listener != listener {
		client.Close()
		server.Close()
		return
	}
	p.conns[client], p.conns[server] = true, true
	p.wg.Go(func() { p.pipe(server, client, nil) })
	p.wg.Go(func() { p.pipe(client, server, &p.hole) })
}

// pipe copies until one end is closed, then closes the other. It drops what comes
// while hole is set.
func (p *Proxy) pipe(to, from net.Conn, hole *atomic.Bool) {
	defer func() {
		to.Close()
		from.Close()
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.conns, to)
		delete(p.conns, from)
	}()
	b := make([]byte, 32<<10)
	for {
		n, err := from.Read(b)
		if n > 0 && (hole == nil || !hole.Load()) {
			if _, err := to.Write(b[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
