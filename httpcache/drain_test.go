package httpcache_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-0226adef/memo/httpcache"
)

// unflushable is a client's writer that cannot flush, as that of http.TimeoutHandler. It
// says when it was asked to.
type unflushable struct {
	*httptest.ResponseRecorder
	asked chan struct{}
}

func (w unflushable) FlushError() error {
	close(w.asked)
	return http.ErrNotSupported
}

// The writer of http.TimeoutHandler cannot flush. What came after a flush was lost.
func TestAWriterThatCannotFlushGetsTheWholeResponse(t *testing.T) {
	long := strings.Repeat("x", 32_000)
	asked := make(chan struct{})
	s := newSite(nil, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		io.WriteString(w, "hello")
		http.NewResponseController(w).Flush()
		<-asked
		io.WriteString(w, long)
	})
	for range 2 {
		w := unflushable{httptest.NewRecorder(), asked}
		s.ServeHTTP(w, request("GET", "/"))
		if got := w.Body.String(); got != "hello"+long {
			t.Errorf("got %d bytes, want %d", len(got), 5+len(long))
		}
	}
	s.wantRuns(t, 1)
}

// busy is a client's writer that changes its header in Write, as some do that compress,
// and stays there for a while.
type busy struct {
	client  *httptest.ResponseRecorder
	t       *testing.T
	writing chan struct{} // closed by the first Write
	proceed chan struct{} // when this is closed, that goes on
	inside  atomic.Bool   // it does not yet
}

func (w *busy) Write(p []byte) (int, error) {
	select {
	case <-w.writing:
		return w.client.Write(p)
	default:
	}
	h := w.client.Header()
	h.Set("X-Writer", "1")
	before := fmt.Sprint(h)
	w.inside.Store(true)
	close(w.writing)
	<-w.proceed
	w.inside.Store(false)
	if after := fmt.Sprint(h); after != before {
		w.t.Errorf("while the writer writes, its header becomes %s", after)
	}
	return w.client.Write(p)
}

func (w *busy) Header() http.Header {
	w.alone("Header")
	return w.client.Header()
}

func (w *busy) WriteHeader(status int) {
	w.alone("WriteHeader")
	w.client.WriteHeader(status)
}

func (w *busy) Push(string, *http.PushOptions) error {
	w.alone("Push")
	return nil
}

func (w *busy) alone(method string) {
	if w.inside.Load() {
		w.t.Errorf("%s is called while the writer writes", method)
	}
}

// Writers of middlewares outside raced with the handler's goroutine for their header, and
// for what they know of the response.
func TestNothingElseIsDoneWithAWriterThatWrites(t *testing.T) {
	w := &busy{client: httptest.NewRecorder(), t: t, writing: make(chan struct{}), proceed: make(chan struct{})}
	s := newSite(nil, func(rw http.ResponseWriter, r *http.Request) {
		h := rw.Header()
		h.Set("Cache-Control", "max-age=60")
		h.Set("Trailer", "X-A, X-B")
		rw.Write(page("/", 10_000))
		<-w.writing
		h.Set("X-A", "1")
		rw.Header().Set("X-B", "2")
		rw.Header().Set(http.TrailerPrefix+"X-C", "3")
		rw.WriteHeader(http.StatusTeapot)
		rw.(http.Pusher).Push("/", nil)
	})
	var first sync.WaitGroup
	first.Go(func() { s.ServeHTTP(w, request("GET", "/")) })
	<-w.writing
	other := s.get("/") // when it is there, the response has been stored
	close(w.proceed)
	first.Wait()
	for i, res := range []*http.Response{w.client.Result(), other, s.get("/")} {
		if !isPage("/", []byte(body(t, res))) {
			t.Errorf("client %d got another body", i)
		}
		if got, want := fmt.Sprint(res.Trailer), "map[X-A:[1] X-B:[2] X-C:[3]]"; got != want {
			t.Errorf("client %d: the trailer is %s, want %s", i, got, want)
		}
	}
	s.wantRuns(t, 1)
}

// around is the writer of an adapter that writes by way of the cache, and knows the
// client's header from before.
type around struct {
	http.ResponseWriter
	header http.Header
}

func (w around) Header() http.Header { return w.header }

// What has come into the header by another way than the recorder is in the response.
func TestFieldsThatAreSetAroundTheCacheAreSentAndStored(t *testing.T) {
	for _, size := range []int{0, 10, 10_000} {
		w := httptest.NewRecorder()
		w.Header().Set("X-Outside", "1")
		h := w.Header()
		s := newSite(&httpcache.Options{TTL: time.Minute}, func(rw http.ResponseWriter, r *http.Request) {
			rw = around{rw, h}
			rw.Header().Set("X-Early", "1")
			rw.WriteHeader(http.StatusEarlyHints)
			rw.Header().Del("X-Early")
			rw.Header().Del("X-Outside")
			rw.Header().Set("X-A", "1")
			if size > 0 {
				rw.Write(page("/", size))
			}
		})
		s.ServeHTTP(w, request("GET", "/"))
		answers := []http.Header{w.Header()}
		if size > 0 {
			answers = append(answers, s.get("/").Header)
			s.wantRuns(t, 1)
		}
		for i, got := range answers {
			if got.Get("X-A") != "1" || got.Get("X-Early") != "" || got.Get("X-Outside") != "" {
				t.Errorf("%d bytes, answer %d: the header is %v", size, i, got)
			}
		}
	}
}

func TestTrailersThatAreSetAroundTheCacheAreSentAndStored(t *testing.T) {
	w := httptest.NewRecorder()
	s := newSite(&httpcache.Options{TTL: time.Minute}, func(rw http.ResponseWriter, r *http.Request) {
		rw = around{rw, w.Header()}
		rw.Header().Set("Trailer", "X-A")
		io.WriteString(rw, "hello")
		rw.Header().Set("X-A", "1")
	})
	s.ServeHTTP(w, request("GET", "/"))
	for i, res := range []*http.Response{w.Result(), s.get("/")} {
		if body(t, res) != "hello" || res.Trailer.Get("X-A") != "1" {
			t.Errorf("client %d: the trailer is %v", i, res.Trailer)
		}
	}
	s.wantRuns(t, 1)
}
