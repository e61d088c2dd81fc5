package httpcache

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/seed-0226adef/memo/httpcache/internal/rules"
)

// A recorder is the http.ResponseWriter of a handler that is run to answer a
// request and, perhaps, to be remembered. Until the handler writes its header
// nothing is known. Then the exchange decides what becomes of the response:
//
//   - passing: it goes to the client, as if the cache were not there.
//   - storing: it goes to the client, and a copy of it is made.
//   - holding: it goes nowhere, since the client gets another one in its place.
//
// The client may be gone while others wait for the copy; so what the client's
// connection says is passed on to the handler only if nobody does.
//
// A handler that returns without having written anything has begun no response:
// whoever called the cache may still write one, and finds the client's
// ResponseWriter as the handler has left it. Some do so by way of the recorder,
// which they have kept: when the handler has returned, it does nothing but pass on.
type recorder struct {
	http.ResponseWriter
	exchange *exchange
	ctx      context.Context // the handler's
	run      *run            // whom to tell; nil for a run that is nobody else's
	initial  http.Header     // what others had put into the header before
	header   http.Header     // the handler's, where it is not the client's; see header.go
	same     http.Header     // what both were when they were the same
	started  time.Time
	mark     rules.Mark // what is known of patterns when the handler begins
	purges   uint64     // how often the resource had been purged when the handler began; see purged

	wrote    bool // the final header is decided on
	implied  bool // by a Write, which will do the same to the client's ResponseWriter
	mode     mode
	then     func() // what is done in place of a response that is held
	muted    bool   // the client gets no body, or no more
	reply    *rules.Reception
	life     rules.Life // of the reply
	asks     bool       // the handler was asked whether the stored response is still good
	body     []byte
	drain    *drain      // writes to the client; nil as long as the handler does
	late     http.Header // the header, when it waits for the body's end; see late.go
	part     bool        // the header waits so that the client gets a part; see awaitsPart
	declared int64       // Content-Length, or -1
	written  int64       // bytes of the body that the handler has written
	failed   bool        // the response cannot be stored after all
	over     bool        // the handler has returned, and all is decided
}

type mode uint8

const (
	passing mode = iota
	storing
	holding
)

// WriteHeader decides what becomes of the response. Interim responses are passed
// on at once; 101 is a final one.
func (rec *recorder) WriteHeader(status int) {
	switch {
	case rec.over:
		rec.ResponseWriter.WriteHeader(status)
	case rec.wrote:
		if rec.mode != holding && !rec.muted && rec.late == nil && rec.drain == nil {
			rec.ResponseWriter.WriteHeader(status) // which logs that it is superfluous
		}
	case status < 200 && status != http.StatusSwitchingProtocols:
		rec.gather()
		rec.show()
		rec.ResponseWriter.WriteHeader(status)
		rec.recall()
	default:
		rec.wrote = true
		rec.gather()
		rec.declared = contentLength(rec.Header())
		rec.exchange.decide(rec, status)
	}
}

// contentLength returns a valid Content-Length, or -1.
func contentLength(h http.Header) int64 {
	if lines := h["Content-Length"]; len(lines) == 1 {
		if n, ok := rules.ParseOffset(lines[0]); ok {
			return n
		}
	}
	return -1
}

func (rec *recorder) Write(p []byte) (int, error) {
	if rec.over {
		return rec.ResponseWriter.Write(p)
	}
	if !rec.wrote {
		rec.implied = true
		rec.WriteHeader(http.StatusOK)
	}
	rec.written += int64(len(p))
	if rec.mode == storing && rec.declared >= 0 && rec.written > rec.declared {
		rec.stopStoring() // net/http takes no more than was declared, and says so
	}
	switch rec.mode {
	case passing:
		return rec.toClient(p)
	case holding:
		return len(p), nil
	}
	if !hasBody(rec.reply.Status) {
		rec.written -= int64(len(p))
		return 0, http.ErrBodyNotAllowed
	}
	rec.copy(p)
	if rec.late != nil {
		if len(rec.body) > lateSize && !rec.part {
			rec.commit()
		}
		return len(p), nil
	}
	return rec.toClient(p)
}

// copy keeps p, unless that makes the copy too large, or all copies together.
func (rec *recorder) copy(p []byte) {
	if int64(len(rec.body)+len(p)) > rec.exchange.policy.MaxBody || !rec.makeRoom(int64(len(p))) {
		rec.stopStoring()
		return
	}
	rec.body = append(rec.body, p...)
}

// stopStoring lets the rest of the response stream through. Whoever waits for it
// is told not to.
func (rec *recorder) stopStoring() {
	rec.commit()
	rec.mode, rec.failed = passing, true
	rec.exchange.release()
	rec.run.end(outcome{err: errPass})
	rec.pace()
	rec.finishClient()
	rec.body = nil
	rec.exchange.settle()
}

// finishClient waits until the client has got what it has not got yet.
func (rec *recorder) finishClient() {
	if rec.drain != nil {
		rec.clientLost(rec.drain.end())
		rec.drain = nil
	}
}

// leaveTo hands the client to whoever recovers from the handler's panic: with all
// that the handler has written, as it would be without a cache. Nobody who waits
// for the response waits for that. [http.ErrAbortHandler] means that the client is
// to get no more.
func (rec *recorder) leaveTo(panicked any) {
	rec.run.end(outcome{err: errRetry})
	rec.commit()
	if rec.drain != nil && panicked == http.ErrAbortHandler {
		rec.drain.abort()
	}
	rec.finishClient()
	rec.leave()
}

// clientLost notes that the client gets no more, if err says so.
func (rec *recorder) clientLost(err error) {
	rec.muted = rec.muted || err != nil
}

// pace has a client that would take the response as fast as it comes take it as
// fast as it can read it.
func (rec *recorder) pace() {
	if p, ok := rec.ResponseWriter.(*pipe); ok {
		p.pace()
	}
}

// toClient writes p, which has been copied if the response is being stored, to the
// client. When that fails, the handler learns of it only if it runs for nobody
// else.
func (rec *recorder) toClient(p []byte) (int, error) {
	switch {
	case rec.muted && rec.mode == passing:
		return 0, errNobodyReads
	case rec.muted:
		return len(p), rec.ctx.Err()
	case rec.drain != nil, rec.mode == storing && len(rec.body) > directSize && rec.mayDrain():
		if rec.drain == nil {
			if rec.implied { // the handler may go on with the header
				rec.ResponseWriter.WriteHeader(rec.reply.Status)
				rec.implied = false
			}
			rec.drain = newDrain(rec.ResponseWriter, rec.body, len(rec.body)-len(p))
		} else {
			rec.clientLost(rec.drain.grow(rec.body))
		}
		return len(p), nil
	}
	if to, ok := rec.ResponseWriter.(*pipe); ok && rec.mode == storing {
		to.share(rec.body)
		return len(p), nil
	}
	rec.implied = false
	n, err := rec.ResponseWriter.Write(p)
	if err == nil {
		return n, nil
	}
	if rec.run == nil || rec.mode == passing || err == http.ErrContentLength {
		rec.failed = true
		return n, err
	}
	rec.muted = true
	return len(p), nil
}

// errNobodyReads is what a handler gets that goes on writing for a client who has
// got a 304, or is gone, when nobody else will get the response either.
var errNobodyReads = errors.New("memo: httpcache: nobody reads this response")

// mayDrain reports whether a drain may write to the client. A pipe takes all at once
// without, and what is discarded takes no time.
func (rec *recorder) mayDrain() bool {
	if rec.run == nil {
		return false
	}
	switch rec.ResponseWriter.(type) {
	case *pipe, discarded:
		return false
	}
	return true
}

// ReadFrom lets bodies that are not stored go the way that the connection has for
// them, such as sendfile. The response begins with the first byte that src has, as
// it does in net/http.
func (rec *recorder) ReadFrom(src io.Reader) (n int64, err error) {
	if !rec.wrote {
		if n, err = io.Copy(writerOnly{rec}, io.LimitReader(src, sniffSize)); err != nil || n < sniffSize {
			return n, err
		}
	}
	var rest int64
	if to, ok := rec.ResponseWriter.(io.ReaderFrom); ok && rec.mode == passing && !rec.muted {
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

func (rec *recorder) Flush() { rec.FlushError() }

func (rec *recorder) FlushError() error {
	if rec.over {
		return http.NewResponseController(rec.ResponseWriter).Flush()
	}
	if !rec.wrote {
		rec.WriteHeader(http.StatusOK)
	}
	if rec.part {
		return nil
	}
	rec.commit()
	if rec.mode == holding || rec.muted {
		return nil
	}
	if rec.drain == nil && rec.mode == storing && rec.mayDrain() { // a client that does not read holds up a flush
		rec.drain = newDrain(rec.ResponseWriter, rec.body, len(rec.body))
	}
	if rec.drain != nil {
		rec.drain.askFlush()
		return nil
	}
	return http.NewResponseController(rec.ResponseWriter).Flush()
}

// Hijack gives the connection to the handler. What it does with that is no
// response.
func (rec *recorder) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	rec.finishClient()
	conn, rw, err := http.NewResponseController(rec.ResponseWriter).Hijack()
	if err == nil && !rec.over {
		rec.wrote, rec.late = true, nil
		rec.stopStoring()
	}
	return conn, rw, err
}

// Push is HTTP/2's server push, where there is any.
func (rec *recorder) Push(target string, opts *http.PushOptions) error {
	if p, ok := rec.ResponseWriter.(http.Pusher); ok && rec.drain == nil {
		return p.Push(target, opts)
	}
	return http.ErrNotSupported
}

// Unwrap is for http.ResponseController.
func (rec *recorder) Unwrap() http.ResponseWriter { return rec.ResponseWriter }

// complete reports whether the handler has written all of the response: as much as
// its Content-Length says, or, without one, all that it wanted to before anybody
// told it to stop.
func (rec *recorder) complete() bool {
	switch {
	case rec.failed:
		return false
	case rec.declared < 0 || !hasBody(rec.reply.Status):
		return rec.ctx.Err() == nil
	}
	return rec.declared == rec.written
}
