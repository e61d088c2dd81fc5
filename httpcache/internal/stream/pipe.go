package stream

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/seed-0226adef/memo/httpcache/internal/rules"
)

// A Pipe carries a response from the goroutine that runs an exchange to the reader
// of an http.Response's body. It is an http.ResponseWriter at one end and an
// io.ReadCloser at the other.
//
// While the response is being stored, the pipe shares all of it with the exchange,
// however slowly it is read: others wait for the end. Otherwise it holds pipeSize at most, and a
// writer waits for the reader.
type Pipe struct {
	leave  func()        // called when the reader closes the body
	header http.Header   // the writer's alone
	Sent   chan struct{} // closed when there is a header, or none to come

	// The writer sets these before it closes sent, and the reader looks at them
	// after that.
	Status   int            // zero if there is none to come
	fields   http.Header    // as it was sent; the reader's from then on
	Origin   *http.Response // what the header was made from, if it came just now
	Panicked any            // what the next RoundTripper panicked with, before there was a header

	mu      sync.Mutex
	change  sync.Cond   // of mu; what follows has changed
	trailer http.Header // guarded by mu until ended, then the reader's
	body    []byte      // guarded by mu; what of the response is being stored, as the exchange has it
	read    int         // guarded by mu; how much of body has been read
	done    func()      // guarded by mu; called when body is of no use any more; may be nil
	buf     []byte      // guarded by mu; what has been written after body, and not read
	paced   bool        // guarded by mu; the writer waits for the reader
	timer   *time.Timer // guarded by mu; calls leave when the body has been closed; may be nil
	closed  bool        // guarded by mu; by the reader
	ended   bool        // guarded by mu; by the writer
	Err     error       // guarded by mu until ended, then not written any more; why, if not at the end of the body
	gone    error       // guarded by mu; why the reader gets no more, if its context has ended
	unwatch func() bool // guarded by mu; of that context; may be nil
}

const pipeSize = 64 << 10

func NewPipe(leave func()) *Pipe {
	p := &Pipe{header: http.Header{}, Sent: make(chan struct{}), leave: leave}
	p.change.L = &p.mu
	return p
}

func (p *Pipe) Header() http.Header { return p.header }

// WriteHeader sends the header. Interim responses have reached the client by
// httptrace already.
func (p *Pipe) WriteHeader(status int) {
	if status < 200 && status != http.StatusSwitchingProtocols || p.Status != 0 {
		return
	}
	p.Status, p.fields = status, p.header.Clone()
	close(p.Sent)
}

func (p *Pipe) Write(b []byte) (n int, err error) {
	if p.Status == 0 {
		p.WriteHeader(http.StatusOK)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(b) > 0 {
		for p.paced && p.unread() >= pipeSize && !p.closed {
			p.change.Wait()
		}
		if p.closed && !p.paced {
			return n + len(b), nil // nobody reads it, and it is stored all the same
		}
		if p.closed {
			return n, io.ErrClosedPipe
		}
		part := b
		if p.paced {
			part = b[:min(len(b), pipeSize-p.unread())]
		}
		p.buf = append(p.buf, part...)
		n, b = n+len(part), b[len(part):]
		p.change.Broadcast()
	}
	return n, nil
}

// Share makes body, which begins with what there was, the response so far. It is not
// copied: the exchange has a copy anyway.
func (p *Pipe) Share(body []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed && p.gone == nil {
		p.body = body
		p.change.Broadcast()
	}
}

// unread returns how much has been written and not read. The caller holds p.mu.
func (p *Pipe) unread() int { return max(len(p.body)-p.read, 0) + len(p.buf) }

// WhenRead has done called when the reader needs no more of what it was shared, be it
// that it was forgotten. There will be no more of that.
func (p *Pipe) WhenRead(done func()) {
	done = sync.OnceFunc(done)
	runtime.AddCleanup(p, func(done func()) { done() }, done)
	p.mu.Lock()
	defer p.mu.Unlock()
	before := p.done
	p.done = func() {
		if before != nil {
			before()
		}
		done()
	}
	if p.read >= len(p.body) {
		p.drop()
	}
}

// drop lets go of what has not been read. The caller holds p.mu.
func (p *Pipe) drop() {
	if p.body = nil; p.done != nil {
		p.done()
		p.done = nil
	}
}

// Flush does nothing: what is written can be read.
func (p *Pipe) Flush() {}

// Pace makes the writer wait for the reader from now on.
func (p *Pipe) Pace() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.paced = true
	if p.closed {
		p.leave()
	}
}

// End ends the body: with its trailer, or with err.
func (p *Pipe) End(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		return
	}
	p.ended, p.Err = true, err
	if p.timer != nil {
		p.timer.Stop()
	}
	if p.unwatch != nil {
		p.unwatch()
	}
	if err == nil {
		for name, lines := range p.header {
			if name, ok := strings.CutPrefix(name, http.TrailerPrefix); ok {
				if p.trailer == nil {
					p.trailer = http.Header{}
				}
				p.trailer[name] = slices.Clone(lines)
			}
		}
	}
	p.change.Broadcast()
}

func (p *Pipe) Read(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.unread() == 0 && !p.ended && !p.closed && p.gone == nil {
		p.change.Wait()
	}
	switch {
	case p.gone != nil:
		return 0, p.gone
	case p.closed:
		return 0, http.ErrBodyReadAfterClose
	case p.read < len(p.body):
		n := copy(b, p.body[p.read:])
		if p.read += n; p.read == len(p.body) && p.done != nil {
			p.drop()
		}
		p.change.Broadcast()
		return n, nil
	case len(p.buf) > 0:
		n := copy(b, p.buf)
		if p.buf = p.buf[n:]; len(p.buf) == 0 {
			p.buf = nil
		}
		p.change.Broadcast()
		return n, nil
	case p.Err != nil:
		return 0, p.Err
	}
	return 0, io.EOF
}

// Watch makes reading end with the client's context, whoever else the response is
// for.
func (p *Pipe) Watch(client context.Context) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.ended {
		p.unwatch = context.AfterFunc(client, func() {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.gone, p.buf = client.Err(), nil
			p.drop()
			p.change.Broadcast()
		})
	}
}

// Close lets the writer go, and tells the exchange that its client has left. A
// response that is being stored has a moment to come to its end: readers that
// know when they have enough, as decoders do, close it just before.
func (p *Pipe) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil
	}
	p.closed, p.buf = true, nil
	p.drop()
	if p.unwatch != nil {
		p.unwatch()
	}
	p.change.Broadcast()
	if p.paced || p.ended {
		p.leave()
	} else {
		p.timer = time.AfterFunc(closeGrace, p.leave)
	}
	return nil
}

const closeGrace = 100 * time.Millisecond

// Fail ends the exchange by what a forwarder panicked with: a failure of the
// request, or a panic of the next RoundTripper, which is for whoever called this
// one.
func (p *Pipe) Fail(v any, log *slog.Logger) {
	err := io.ErrUnexpectedEOF
	f, failed := v.(forwardError)
	if failed {
		err = f.err
	}
	p.End(err)
	switch {
	case p.Status == 0 && !failed:
		p.Panicked = v
		close(p.Sent)
	case p.Status == 0:
		close(p.Sent)
	case !IsExpected(v):
		log.Error("memo: httpcache: a RoundTripper's body panicked", "panic", v, "stack", string(debug.Stack()))
	}
}

// Response makes an http.Response of what was sent.
func (p *Pipe) Response(r *http.Request) *http.Response {
	res := NewResponse(p.Status, p.fields, r)
	res.Body = p
	if p.Origin != nil { // the origin's own, on its way
		res.Proto, res.ProtoMajor, res.ProtoMinor = p.Origin.Proto, p.Origin.ProtoMajor, p.Origin.ProtoMinor
		res.TLS, res.Uncompressed = p.Origin.TLS, p.Origin.Uncompressed
		if res.StatusCode == p.Origin.StatusCode {
			res.Status = p.Origin.Status
		}
	}
	if r.Method == http.MethodHead || !rules.HasBody(p.Status) {
		res.Body = emptyBody{p}
	}
	p.mu.Lock()
	if p.trailer == nil {
		p.trailer = http.Header{}
	}
	res.Trailer = p.trailer
	p.mu.Unlock()
	return res
}

// emptyBody is the body of a response that has none, whose exchange may still be
// under way for others.
type emptyBody struct{ p *Pipe }

func (emptyBody) Read([]byte) (int, error) { return 0, io.EOF }
func (b emptyBody) Close() error           { return b.p.Close() }
