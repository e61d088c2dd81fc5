package stream

import (
	"bytes"
	"io"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/seed-0226adef/memo/httpcache/internal/rules"
)

// An Answer is the http.ResponseWriter of a round trip that is answered with what is stored.
// What is written to it is kept as it is.
type Answer struct {
	header http.Header
	status int
	parts  [][]byte
	Done   func() // called when nobody reads the parts any more; may be nil
}

// NewAnswer returns one to which nothing has been written.
func NewAnswer() *Answer { return &Answer{header: http.Header{}} }

func (a *Answer) Header() http.Header    { return a.header }
func (a *Answer) WriteHeader(status int) { a.status = status }
func (a *Answer) Write(b []byte) (int, error) {
	if a.status == 0 {
		a.status = http.StatusOK
	}
	a.parts = append(a.parts, slices.Clone(b))
	return len(b), nil
}

// Add is a Write of what stays as it is.
func (a *Answer) Add(b []byte) {
	if a.status == 0 {
		a.status = http.StatusOK
	}
	a.parts = append(a.parts, b)
}

// Response makes an http.Response of what was written. Its header is the
// caller's own.
func (a *Answer) Response(r *http.Request) *http.Response {
	trailer := http.Header{}
	for name, lines := range a.header {
		if plain, ok := strings.CutPrefix(name, http.TrailerPrefix); ok {
			trailer[plain] = lines
			delete(a.header, name)
		}
	}
	res := NewResponse(a.status, a.header, r)
	res.Trailer = trailer
	switch len(a.parts) {
	case 0:
		res.Body = http.NoBody
		if a.Done != nil {
			a.Done()
		}
	case 1:
		res.Body = a.closing(bytes.NewReader(a.parts[0]))
	default:
		readers := make([]io.Reader, len(a.parts))
		for i, part := range a.parts {
			readers[i] = bytes.NewReader(part)
		}
		res.Body = a.closing(io.MultiReader(readers...))
	}
	return res
}

// closing returns the body that r reads, which calls done when it is closed or
// forgotten.
func (a *Answer) closing(r io.Reader) io.ReadCloser {
	body := io.NopCloser(r) // which hands WriteTo on
	if a.Done == nil {
		return body
	}
	done := sync.OnceFunc(a.Done)
	lent := &lentBody{body, done}
	runtime.AddCleanup(lent, func(done func()) { done() }, done)
	return lent
}

// A lentBody is a stored body that counts as long as it is read.
type lentBody struct {
	io.ReadCloser
	done func()
}

func (b *lentBody) Close() error {
	b.done()
	return nil
}

// WriteTo hands out the body as a whole, to who can take it.
func (b *lentBody) WriteTo(w io.Writer) (int64, error) { return io.Copy(w, b.ReadCloser) }

// Discarded is the http.ResponseWriter of a run without a client.
type Discarded struct{ header http.Header }

func NewDiscarded() Discarded { return Discarded{http.Header{}} }

func (d Discarded) Header() http.Header         { return d.header }
func (d Discarded) Write(p []byte) (int, error) { return len(p), nil }
func (d Discarded) WriteHeader(int)             {}

// NewResponse makes an http.Response to r, without a body.
func NewResponse(status int, h http.Header, r *http.Request) *http.Response {
	res := &http.Response{
		StatusCode: status, Status: rules.Decimal(int64(status)) + " " + http.StatusText(status),
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: h, ContentLength: rules.ContentLength(h), Request: r,
	}
	if r.Method != http.MethodHead && !rules.HasBody(status) {
		res.ContentLength = 0
	}
	return res
}
