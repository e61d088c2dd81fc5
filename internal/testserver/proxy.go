package testserver

import (
	"bufio"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A Proxy stands between a client and a server, and breaks what tests want broken.
// Faults are switched on and off while it runs; several may be on at a time. All of
// them harm what the server sends: requests reach it, so a write may take place whose
// reply is lost.
//
// All methods are safe for concurrent use.
type Proxy struct {
	Addr string // of the loopback interface, which the client dials

	network, upstream string
	protocol          *protocol // or nil, if only bytes are passed on
	accepted          atomic.Int64
	wg                sync.WaitGroup

	hole, garbage, reset atomic.Bool
	latency, torn        atomic.Int64
	script               atomic.Pointer[Script]

	mu       sync.Mutex
	listener net.Listener // nil while the proxy is down
	links    map[*link]bool
}

// NewProxy starts a proxy of the server at the address upstream, whatever it speaks.
// It ends with the test, connections and goroutines included.
func NewProxy(t testing.TB, network, upstream string) *Proxy {
	t.Helper()
	return newProxy(t, network, upstream, nil)
}

func newProxy(t testing.TB, network, upstream string, protocol *protocol) *Proxy {
	t.Helper()
	p := &Proxy{Addr: "127.0.0.1:0", network: network, upstream: upstream, protocol: protocol, links: map[*link]bool{}}
	p.Up(t)
	t.Cleanup(p.Down)
	return p
}

// BlackHole makes the proxy swallow what the server sends, and keep the connections:
// what a network does that has lost the way back.
func (p *Proxy) BlackHole(on bool) { p.hole.Store(on) }

// Latency delays each piece of what the server sends by d. Zero is none.
func (p *Proxy) Latency(d time.Duration) { p.latency.Store(int64(d)) }

// Tear lets n bytes of a reply pass, then closes the connection. Shorter ones pass
// whole; a proxy that knows no replies takes what it reads at once for one. Zero lets
// all pass.
func (p *Proxy) Tear(n int) { p.torn.Store(int64(n)) }

// Garbage makes random bytes of all that the server sends.
func (p *Proxy) Garbage(on bool) { p.garbage.Store(on) }

// Reset resets all connections (RST), and later ones as soon as the server sends
// something.
func (p *Proxy) Reset(on bool) {
	p.reset.Store(on)
	if on {
		p.each((*link).reset)
	}
}

// Drop closes every connection. New ones are accepted.
func (p *Proxy) Drop() { p.each((*link).close) }

// Heal switches all faults off, and takes the proxy up if it is down.
func (p *Proxy) Heal(t testing.TB) {
	t.Helper()
	for _, fault := range []*atomic.Bool{&p.hole, &p.garbage, &p.reset} {
		fault.Store(false)
	}
	p.Latency(0)
	p.Tear(0)
	p.script.Store(nil)
	p.Up(t)
}

// Accepted returns the number of connections that there were so far.
func (p *Proxy) Accepted() int64 { return p.accepted.Load() }

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
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listener != nil {
		return
	}
	listener, err := net.Listen("tcp", p.Addr)
	if err != nil {
		t.Fatal(err)
	}
	p.listener = listener
	if addr := listener.Addr().String(); p.Addr != addr { // the first time
		p.Addr = addr
	}
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

// join links client with the server, unless listener has gone meanwhile.
func (p *Proxy) join(listener net.Listener, client net.Conn) {
	server, err := net.Dial(p.network, p.upstream)
	if err != nil {
		client.Close()
		return
	}
	l := &link{proxy: p, client: client, server: server, closed: make(chan struct{})}
	l.pending.fewer.L = &l.pending.mu
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listener != listener {
		l.close()
		return
	}
	p.links[l] = true
	p.wg.Go(func() { l.run(l.requests) })
	p.wg.Go(func() { l.run(l.replies) })
}

func (p *Proxy) each(do func(*link)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		do(l)
	}
}

// A link is a connection of a client and the one to the server that belongs to it.
type link struct {
	proxy          *Proxy
	client, server net.Conn
	once           sync.Once
	closed         chan struct{}

	mu      sync.Mutex // held while something is written to client
	pending pending
}

// run lets one direction go on until it ends, and then ends the other.
func (l *link) run(direction func()) {
	direction()
	l.close()
	l.proxy.mu.Lock()
	defer l.proxy.mu.Unlock()
	delete(l.proxy.links, l)
}

func (l *link) close() {
	l.once.Do(func() {
		close(l.closed)
		l.pending.end()
		l.client.Close()
		l.server.Close()
	})
}

func (l *link) reset() {
	l.client.(*net.TCPConn).SetLinger(0)
	l.close()
}

// requests passes on what the client sends.
func (l *link) requests() {
	if l.proxy.protocol != nil {
		l.commands(bufio.NewReader(l.client))
		return
	}
	_, _ = io.Copy(l.server, l.client)
}

// replies passes on what the server sends.
func (l *link) replies() {
	if l.proxy.protocol != nil {
		l.framed(bufio.NewReader(delayed{l}))
		return
	}
	b := make([]byte, 32<<10)
	for {
		n, err := delayed{l}.Read(b)
		if n > 0 && !l.reply(b[:n]) || err != nil {
			return
		}
	}
}

// delayed reads from the server with the proxy's latency.
type delayed struct{ *link }

func (d delayed) Read(b []byte) (int, error) {
	n, err := d.server.Read(b)
	if latency := d.proxy.latency.Load(); latency > 0 && n > 0 {
		timer := time.NewTimer(time.Duration(latency))
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-d.closed:
		}
	}
	return n, err
}

// reply sends b to the client as the faults leave it. It may change b. It reports
// whether the link goes on.
func (l *link) reply(b []byte) bool {
	p := l.proxy
	if p.reset.Load() {
		l.reset()
		return false
	}
	if p.hole.Load() {
		return true
	}
	if p.garbage.Load() {
		for i := range b {
			b[i] = byte(rand.Uint32())
		}
	}
	n := int(p.torn.Load())
	torn := n > 0 && n < len(b)
	if torn {
		b = b[:n]
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	_, err := l.client.Write(b)
	return err == nil && !torn
}
