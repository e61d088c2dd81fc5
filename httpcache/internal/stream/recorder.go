// Package stream is how a response gets from whoever makes it to whoever reads it, while it is
// being copied, and however slowly it is read.
//
//   - A Recorder is the http.ResponseWriter of a handler whose response may be stored. Its Owner
//     decides what becomes of that.
//   - A drain writes to a client, so that the handler need not wait for it.
//   - A Pipe is where a round trip's response is written to and read from.
//   - An Answer is the ResponseWriter to which a stored response to a round trip is written.
//
// The package knows net/http's ResponseWriters and bodies. It decides nothing.
package stream

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"

	"github.com/seed-0226adef/memo/httpcache/internal/rules"
	"github.com/seed-0226adef/memo/httpcache/internal/stored"
)

// A Recorder is the http.ResponseWriter of a handler that is run to answer a
// request and, perhaps, to be remembered. Until the handler writes its header
// nothing is known. Then the exchange decides what becomes of the response:
//
//   - Passing: it goes to the client, as if the cache were not there.
//   - Storing: it goes to the client, and a copy of it is made.
//   - Holding: it goes nowhere, since the client gets another one in its place.
//
// The client may be gone while others wait for the copy; so what the client's
// connection says is passed on to the handler only if nobody does.
//
// A handler that returns without having written anything has begun no response:
// whoever called the cache may still write one, and finds the client's
// ResponseWriter as the handler has left it. Some do so by way of the recorder,
// which they have kept: when the handler has returned, it does nothing but pass on.
type Recorder struct {
	http.ResponseWriter
	Ctx    context.Context // the handler's
	Run    *stored.Run     // whom to tell; nil for a run that is nobody else's
	owner  Owner
	policy *rules.Policy

	// What the handler has done.
	Wrote    bool   // its final header is decided on
	Implied  bool   // by a Write, which will do the same to the client's ResponseWriter
	Declared int64  // its Content-Length, or -1
	Body     []byte // a copy of what it has written, as long as Mode is Storing
	written  int64  // bytes of the body
	over     bool   // it has returned, and all is decided

	// What is decided.
	Mode   Mode
	Reply  *rules.Reception
	Muted  bool // the client gets no body, or no more
	failed bool // the response cannot be stored after all

	// The header; see header.go and late.go.
	initial http.Header // what others had put into it before
	header  http.Header // the handler's, where it is not the client's
	same    http.Header // what both were when they were the same
	Late    http.Header // what it was when it began to wait for the body's end; nil otherwise
	Part    bool        // it waits so that the client gets a part

	drain *drain // writes to the client; nil as long as the handler does
}

// An Owner decides what becomes of the response that a Recorder is written, and answers for
// the memory that takes.
type Owner interface {
	// Decide is called when the handler has written its header. It sets Reply and Mode,
	// and sends the header or lets it wait.
	Decide(status int)
	// SendHeader sends the header that has waited.
	SendHeader()
	// Release has the handler run for its own client alone from now on.
	Release()
	// Reserve takes n bytes for the copy, and reports whether there was room; Unreserve
	// gives n of them back, and Settle all.
	Reserve(n int64) bool
	Unreserve(n int64)
	Settle()
}

// A Mode is what becomes of a response.
type Mode uint8

// The modes; see Recorder.
const (
	Passing Mode = iota
	Storing
	Holding
)

// NewRecorder returns a recorder of what a handler writes to w. What is storable is for
// everyone who waits for run, if that is not nil.
func NewRecorder(ctx context.Context, w http.ResponseWriter, o Owner, p *rules.Policy, run *stored.Run) *Recorder {
	rec := &Recorder{ResponseWriter: w, owner: o, policy: p, Ctx: ctx, Run: run, Declared: -1, initial: cloneIfAny(w.Header())}
	rec.separate()
	return rec
}

func cloneIfAny(h http.Header) http.Header {
	if len(h) == 0 {
		return nil
	}
	return h.Clone()
}

// WriteHeader decides what becomes of the response. Interim responses are passed
// on at once; 101 is a final one.
func (rec *Recorder) WriteHeader(status int) {
	switch {
	case rec.over:
		rec.ResponseWriter.WriteHeader(status)
	case rec.Wrote:
		if rec.Mode != Holding && !rec.Muted && rec.Late == nil && rec.drain == nil {
			rec.ResponseWriter.WriteHeader(status) // which logs that it is superfluous
		}
	case status < 200 && status != http.StatusSwitchingProtocols:
		rec.gather()
		rec.Show()
		rec.ResponseWriter.WriteHeader(status)
		rec.recall()
	default:
		rec.Wrote = true
		rec.gather()
		rec.Declared = rules.ContentLength(rec.Header())
		rec.owner.Decide(status)
	}
}

func (rec *Recorder) Write(p []byte) (int, error) {
	if rec.over {
		return rec.ResponseWriter.Write(p)
	}
	if !rec.Wrote {
		rec.Implied = true
		rec.WriteHeader(http.StatusOK)
	}
	rec.written += int64(len(p))
	if rec.Mode == Storing && rec.Declared >= 0 && rec.written > rec.Declared {
		rec.stopStoring() // net/http takes no more than was declared, and says so
	}
	switch rec.Mode {
	case Passing:
		return rec.toClient(p)
	case Holding:
		return len(p), nil
	}
	if !rules.HasBody(rec.Reply.Status) {
		rec.written -= int64(len(p))
		return 0, http.ErrBodyNotAllowed
	}
	rec.copy(p)
	if rec.Late != nil {
		if len(rec.Body) > LateSize && !rec.Part {
			rec.Commit()
		}
		return len(p), nil
	}
	return rec.toClient(p)
}

// copy keeps p, unless that makes the copy too large, or all copies together.
func (rec *Recorder) copy(p []byte) {
	if int64(len(rec.Body)+len(p)) > rec.policy.MaxBody || !rec.MakeRoom(int64(len(p))) {
		rec.stopStoring()
		return
	}
	rec.Body = append(rec.Body, p...)
}

// stopStoring lets the rest of the response stream through. Whoever waits for it
// is told not to.
func (rec *Recorder) stopStoring() {
	rec.Commit()
	rec.Mode, rec.failed = Passing, true
	rec.owner.Release()
	rec.Run.End(stored.Outcome{Err: stored.ErrPass})
	rec.Pace()
	rec.FinishClient()
	rec.Body = nil
	rec.owner.Settle()
}

// FinishClient waits until the client has got what it has not got yet.
func (rec *Recorder) FinishClient() {
	if rec.drain != nil {
		rec.clientLost(rec.drain.end())
		rec.drain = nil
	}
}

// LeaveTo hands the client to whoever recovers from the handler's panic: with all
// that the handler has written, as it would be without a cache. Nobody who waits
// for the response waits for that. [http.ErrAbortHandler] means that the client is
// to get no more.
func (rec *Recorder) LeaveTo(panicked any) {
	rec.Run.End(stored.Outcome{Err: stored.ErrRetry})
	rec.Commit()
	if rec.drain != nil && panicked == http.ErrAbortHandler {
		rec.drain.abort()
	}
	rec.FinishClient()
	rec.Leave()
}

// clientLost notes that the client gets no more, if err says so.
func (rec *Recorder) clientLost(err error) {
	rec.Muted = rec.Muted || err != nil
}

// Pace has a client that would take the response as fast as it comes take it as
// fast as it can read it.
func (rec *Recorder) Pace() {
	if p, ok := rec.ResponseWriter.(*Pipe); ok {
		p.Pace()
	}
}

// toClient writes p, which has been copied if the response is being stored, to the
// client. When that fails, the handler learns of it only if it runs for nobody
// else.
func (rec *Recorder) toClient(p []byte) (int, error) {
	switch {
	case rec.Muted && rec.Mode == Passing:
		return 0, errNobodyReads
	case rec.Muted:
		return len(p), rec.Ctx.Err()
	case rec.drain != nil, rec.Mode == Storing && len(rec.Body) > directSize && rec.mayDrain():
		if rec.drain == nil {
			if rec.Implied { // the handler may go on with the header
				rec.ResponseWriter.WriteHeader(rec.Reply.Status)
				rec.Implied = false
			}
			rec.drain = newDrain(rec.ResponseWriter, rec.Body, len(rec.Body)-len(p))
		} else {
			rec.clientLost(rec.drain.grow(rec.Body))
		}
		return len(p), nil
	}
	if to, ok := rec.ResponseWriter.(*Pipe); ok && rec.Mode == Storing {
		to.Share(rec.Body)
		return len(p), nil
	}
	rec.Implied = false
	n, err := rec.ResponseWriter.Write(p)
	if err == nil {
		return n, nil
	}
	if rec.Run == nil || rec.Mode == Passing || err == http.ErrContentLength {
		rec.failed = true
		return n, err
	}
	rec.Muted = true
	return len(p), nil
}

// errNobodyReads is what a handler gets that goes on writing for a client who has
// got a 304, or is gone, when nobody else will get the response either.
var errNobodyReads = errors.New("memo: httpcache: nobody reads this response")

// mayDrain reports whether a drain may write to the client. A pipe takes all at once
// without, and what is discarded takes no time.
func (rec *Recorder) mayDrain() bool {
	if rec.Run == nil {
		return false
	}
	switch rec.ResponseWriter.(type) {
	case *Pipe, Discarded:
		return false
	}
	return true
}

// ReadFrom lets bodies that are not stored go the way that the connection has for
// them, such as sendfile. The response begins with the first byte that src has, as
// it does in net/http.
func (rec *Recorder) ReadFrom(src io.Reader) (n int64, err error) {
	if !rec.Wrote {
		if n, err = io.Copy(writerOnly{rec}, io.LimitReader(src, sniffSize)); err != nil || n < sniffSize {
			return n, err
		}
	}
	var rest int64
	if to, ok := rec.ResponseWriter.(io.ReaderFrom); ok && rec.Mode == Passing && !rec.Muted {
		rest, err = to.ReadFrom(src)
		rec.written += rest
	} else {
		rest, err = io.Copy(writerOnly{rec}, src)
	}
	return n + rest, err
}

// sniffSize is how much of a body is read before its header is written.
const sniffSize = 512

// writerOnly hides ReadFrom from io.Copy.
type writerOnly struct{ io.Writer }

func (rec *Recorder) Flush() { rec.FlushError() }

func (rec *Recorder) FlushError() error {
	if rec.over {
		return http.NewResponseController(rec.ResponseWriter).Flush()
	}
	if !rec.Wrote {
		rec.WriteHeader(http.StatusOK)
	}
	if rec.Part {
		return nil
	}
	rec.Commit()
	if rec.Mode == Holding || rec.Muted {
		return nil
	}
	if rec.drain == nil && rec.Mode == Storing && rec.mayDrain() { // a client that does not read holds up a flush
		rec.drain = newDrain(rec.ResponseWriter, rec.Body, len(rec.Body))
	}
	if rec.drain != nil {
		rec.drain.askFlush()
		return nil
	}
	return http.NewResponseController(rec.ResponseWriter).Flush()
}

// Hijack gives the connection to the handler. What it does with that is no
// response.
func (rec *Recorder) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	rec.FinishClient()
	conn, rw, err := http.NewResponseController(rec.ResponseWriter).Hijack()
	if err == nil && !rec.over {
		rec.Wrote, rec.Late = true, nil
		rec.stopStoring()
	}
	return conn, rw, err
}

// Push is HTTP/2's server push, where there is any.
func (rec *Recorder) Push(target string, opts *http.PushOptions) error {
	if p, ok := rec.ResponseWriter.(http.Pusher); ok && rec.drain == nil {
		return p.Push(target, opts)
	}
	return http.ErrNotSupported
}

// Unwrap is for http.ResponseController.
func (rec *Recorder) Unwrap() http.ResponseWriter { return rec.ResponseWriter }

// Complete reports whether the handler has written all of the response: as much as
// its Content-Length says, or, without one, all that it wanted to before anybody
// told it to stop.
func (rec *Recorder) Complete() bool {
	switch {
	case rec.failed:
		return false
	case rec.Declared < 0 || !rules.HasBody(rec.Reply.Status):
		return rec.Ctx.Err() == nil
	}
	return rec.Declared == rec.written
}
