package stream

import (
	"errors"
	"net/http"
	"sync"
	"time"
)

// A drain writes a response that is being stored to its first client, so that the
// handler need not wait for that client: others wait for the handler. Without it,
// one who asks for a cold page and then does not read would hold up everybody.
//
// It reads what the recorder has copied anyway. Its goroutine has ended when end
// or abort returns, and the client's ResponseWriter is used by nobody else in
// between.
type drain struct {
	w    http.ResponseWriter // the goroutine's alone until done is closed
	done chan struct{}       // closed when the goroutine has ended

	mu     sync.Mutex
	change sync.Cond // of mu; what follows has changed
	body   []byte    // guarded by mu; all of the response so far: what is in it does not change
	sent   int       // guarded by mu; how much of it the client has got, or is getting
	flush  bool      // guarded by mu; the client is to get what net/http holds back
	ended  bool      // guarded by mu; there will be no more
	err    error     // guarded by mu until done is closed; why the client gets no more
}

// directSize is how much of a response the handler writes to the client itself:
// that much goes into net/http's own buffer.
const directSize = 4 << 10

// drainChunk bounds one write, so that abort does not wait long for a client that
// reads.
const drainChunk = 256 << 10

// newDrain starts writing body to w, of which the client has got sent bytes.
func newDrain(w http.ResponseWriter, body []byte, sent int) *drain {
	d := &drain{w: w, body: body, sent: sent, done: make(chan struct{})}
	d.change.L = &d.mu
	go d.write()
	return d
}

func (d *drain) write() {
	defer close(d.done)
	for {
		part, flush, ok := d.next()
		if !ok {
			return
		}
		var err error
		if len(part) > 0 {
			_, err = d.w.Write(part)
		}
		if flush && err == nil {
			if err = http.NewResponseController(d.w).Flush(); errors.Is(err, http.ErrNotSupported) {
				err = nil // as of the writer of http.TimeoutHandler: the client gets it later
			}
		}
		if err != nil {
			d.fail(err)
			return
		}
	}
}

// next waits for something to do. It is not ok when there is no more.
func (d *drain) next() (part []byte, flush, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for d.sent == len(d.body) && !d.flush && !d.ended && d.err == nil {
		d.change.Wait()
	}
	if d.err != nil || d.sent == len(d.body) && !d.flush {
		return nil, false, false
	}
	part = d.body[d.sent:]
	if len(part) > drainChunk {
		part = part[:drainChunk]
	}
	d.sent += len(part)
	if d.sent == len(d.body) {
		flush, d.flush = d.flush, false
	}
	return part, flush, true
}

func (d *drain) fail(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err == nil {
		d.err = err
	}
	d.change.Broadcast()
}

// grow makes body, which begins with what there was, the response so far. It
// returns why the client gets no more of it, if so.
func (d *drain) grow(body []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.body = body
	d.change.Broadcast()
	return d.err
}

func (d *drain) askFlush() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.flush = true
	d.change.Broadcast()
}

// end waits until the client has got everything, or gets no more.
func (d *drain) end() error {
	d.mu.Lock()
	d.ended = true
	d.change.Broadcast()
	d.mu.Unlock()
	<-d.done
	return d.err
}

// abort stops writing at once. The connection is of no use any more.
func (d *drain) abort() {
	d.fail(http.ErrAbortHandler)
	http.NewResponseController(d.w).SetWriteDeadline(time.Unix(1, 0))
	<-d.done
}
