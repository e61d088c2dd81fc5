package httpcache

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0226adef/memo"
	"github.com/seed-0226adef/memo/httpcache/internal/rules"
	"github.com/seed-0226adef/memo/httpcache/internal/stored"
	"github.com/seed-0226adef/memo/httpcache/internal/stream"
)

// A crowd is many clients, each of which asks for a long page of its own. All handlers
// stop in the middle, until every client has got there.
type crowd struct {
	clients, size int
	declared      bool // the pages have a Content-Length
	inTurn        bool // a client asks when the one before it has got to the middle
	middle        sync.WaitGroup
	end           chan struct{}
}

var filler = bytes.Repeat([]byte("0123456789abcdef"), 2<<10)

func (c *crowd) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "max-age=60")
	w.Header().Set("Content-Type", "text/plain")
	if c.declared {
		w.Header().Set("Content-Length", rules.Decimal(int64(c.size)))
	}
	for i := 0; i < c.size; i += len(filler) {
		if i == c.size/2 {
			c.middle.Done()
			<-c.end
		}
		w.Write(filler)
	}
}

// A counter is a client that checks what it gets, and keeps nothing.
type counter struct {
	header http.Header
	size   int
	wrong  bool
}

func (c *counter) Header() http.Header { return c.header }
func (c *counter) WriteHeader(int)     {}
func (c *counter) Write(p []byte) (int, error) {
	c.wrong = c.wrong || !bytes.Equal(p[:1], filler[c.size%len(filler):][:1])
	c.size += len(p)
	return len(p), nil
}

// get has all clients ask by one of the cache's faces, and returns when they have got to
// the middle.
func (c *crowd) get(t *testing.T, cache *Cache, face string) {
	handler := cache.Handler(c)
	client := cache.Transport(roundTrip(func(r *http.Request) (*http.Response, error) {
		body, w := io.Pipe()
		go func() {
			c.ServeHTTP(&piped{http.Header{}, w}, r)
			w.Close()
		}()
		res := stream.NewResponse(200, header("Cache-Control: max-age=60"), r)
		if c.declared {
			res.ContentLength = int64(c.size)
		}
		res.Body = body
		return res, nil
	}))
	if !c.inTurn {
		c.middle.Add(c.clients)
	}
	for i := range c.clients {
		if c.inTurn {
			c.middle.Add(1)
		}
		go func() {
			got := &counter{header: http.Header{}}
			r := httptest.NewRequest("GET", fmt.Sprint("http://example.com/", i), nil)
			if face == "handler" {
				handler.ServeHTTP(got, r)
			} else if res, err := client.RoundTrip(r); err == nil {
				io.Copy(got, res.Body)
				res.Body.Close()
			}
			if got.size != c.size || got.wrong {
				t.Errorf("client %d got %d bytes, want %d; they are wrong: %v", i, got.size, c.size, got.wrong)
			}
			c.middle.Done()
		}()
		if c.inTurn {
			c.middle.Wait()
		}
	}
	c.middle.Wait()
}

type piped struct {
	header http.Header
	io.Writer
}

func (p *piped) Header() http.Header { return p.header }
func (p *piped) WriteHeader(int)     {}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func TestManyLongPagesAtOnceTakeNoMoreThanTheBound(t *testing.T) {
	const bound = 16 << 20
	for _, tt := range []struct {
		name string
		o    *Options
		memo memo.Option
	}{
		{"the cache's size", nil, memo.LocalBytes(bound)},
		{"MaxInFlight", &Options{MaxInFlight: bound}, memo.Local(100)},
	} {
		for _, face := range []string{"handler", "transport"} {
			for _, declared := range []bool{false, true} {
				t.Run(fmt.Sprint(tt.name, ", ", face, ", declared ", declared), func(t *testing.T) {
					cache := New(tt.o, tt.memo)
					c := &crowd{clients: 60, size: 2 << 20, declared: declared, end: make(chan struct{})}
					before := heap()
					c.get(t, cache, face)
					const others = 300 << 10 // what a client takes besides
					if took := heap() - before; took > bound+int64(c.clients)*others {
						t.Errorf("%d pages of %d MiB under way take %d MiB, want %d at most", c.clients, c.size>>20, took>>20, bound>>20)
					}
					if used := cache.core.Inflight.Used.Load(); used > bound || declared && used != bound {
						t.Errorf("%d bytes are counted, of %d", used, bound)
					}
					c.middle.Add(c.clients)
					close(c.end)
					c.middle.Wait()
					waitForZero(t, cache)
				})
			}
		}
	}
}

// Whoever is refused has found less room than its page takes. (Of bodies that grow at the
// same time, all may give up for want of what the others have.)
func TestTheRoomForPagesUnderWayIsUsed(t *testing.T) {
	for _, face := range []string{"handler", "transport"} {
		for _, declared := range []bool{false, true} {
			t.Run(fmt.Sprint(face, ", declared ", declared), func(t *testing.T) {
				c := &crowd{clients: 20, size: 256 << 10, declared: declared, inTurn: true, end: make(chan struct{})}
				bound := int64(10*c.size + c.size/2)
				cache := New(&Options{MaxInFlight: bound})
				c.get(t, cache, face)
				if used := cache.core.Inflight.Used.Load(); used > bound || used <= bound-int64(c.size) {
					t.Errorf("%d bytes are counted, of %d", used, bound)
				}
				c.middle.Add(c.clients)
				close(c.end)
				c.middle.Wait()
				waitForZero(t, cache)
			})
		}
	}
}

// What is counted of a page that grows is all of its copies that its client may still be
// getting; and nothing, once it is not to be stored.
func TestWhatIsCountedOfAPageIsWhatItHolds(t *testing.T) {
	for _, tt := range []struct {
		face        string
		bound, want int64 // in KiB
	}{
		{"handler", 1000, 32 + 64 + 128}, {"handler", 100, 0},
		{"transport", 1000, 128}, {"transport", 100, 0},
	} {
		c := &crowd{clients: 1, size: 256 << 10, end: make(chan struct{})}
		cache := New(&Options{MaxInFlight: tt.bound << 10})
		c.get(t, cache, tt.face)
		if tt.want == 0 {
			waitForZero(t, cache)
		} else if used := cache.core.Inflight.Used.Load(); used != tt.want<<10 {
			t.Errorf("%s: %d KiB of a page are counted, want %d", tt.face, used>>10, tt.want)
		}
		c.middle.Add(c.clients)
		close(c.end)
		c.middle.Wait()
	}
}

// What was refused took its part for a moment, and what would have fitted was refused.
func TestWhatDoesNotFitTakesNoRoomFromOthers(t *testing.T) {
	const limit, turns = 10, 100_000
	a := &stored.Account{Limit: func() int64 { return limit }}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range turns {
				if a.Reserve(limit + 1) {
					t.Error("there was room for more than the limit")
				}
				if used := a.Used.Load(); used > limit {
					t.Errorf("%d are taken, of %d", used, limit)
					return
				}
			}
		})
		all.Go(func() {
			for range turns {
				if !a.Reserve(limit / 4) {
					t.Error("there was no room for what fits")
					return
				}
				a.Release(limit / 4)
			}
		})
	}
	all.Wait()
}

// waitForZero waits until the account is even: goroutines of requests end a moment after
// their clients have everything.
func waitForZero(t *testing.T, c *Cache) {
	t.Helper()
	used := func() int64 { return c.core.Inflight.Used.Load() + c.core.Sending.Used.Load() }
	for deadline := time.Now().Add(10 * time.Second); used() != 0; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("%d bytes are still counted when nothing is under way", used())
		}
	}
}

// However a request ends, nothing stays in the account.
func TestTheAccountIsEvenWhenNothingIsUnderWay(t *testing.T) {
	long := bytes.Repeat([]byte("x"), 100_000)
	say := func(w http.ResponseWriter, fields ...string) {
		for _, f := range fields {
			name, value, _ := strings.Cut(f, ": ")
			w.Header().Set(name, value)
		}
	}
	handlers := map[string]http.HandlerFunc{
		"stored":      func(w http.ResponseWriter, r *http.Request) { say(w, "Cache-Control: max-age=60"); w.Write(long) },
		"not for all": func(w http.ResponseWriter, r *http.Request) { say(w, "Cache-Control: private"); w.Write(long) },
		"too long": func(w http.ResponseWriter, r *http.Request) {
			say(w, "Cache-Control: max-age=60")
			for range 5 {
				w.Write(long)
			}
		},
		"too short": func(w http.ResponseWriter, r *http.Request) {
			say(w, "Cache-Control: max-age=60", "Content-Length: 200000")
			w.Write(long)
		},
		"a panic": func(w http.ResponseWriter, r *http.Request) {
			say(w, "Cache-Control: max-age=60")
			w.Write(long)
			panic(http.ErrAbortHandler)
		},
		"flushed": func(w http.ResponseWriter, r *http.Request) {
			say(w, "Cache-Control: max-age=60")
			w.Write(long[:1])
			w.(http.Flusher).Flush()
			w.Write(long)
		},
		"a part": func(w http.ResponseWriter, r *http.Request) {
			say(w, "Cache-Control: max-age=60", "Content-Range: bytes 0-99999/200000")
			w.WriteHeader(http.StatusPartialContent)
			w.Write(long)
		},
		"varying": func(w http.ResponseWriter, r *http.Request) {
			say(w, "Cache-Control: max-age=60", "Vary: A", "Content-Length: 100000")
			w.Write(long)
		},
		"its own answer to GET": func(w http.ResponseWriter, r *http.Request) {
			say(w, "Cache-Control: max-age=60", "Content-Location: "+r.URL.Path)
			w.Write(long)
		},
		"nothing": func(http.ResponseWriter, *http.Request) {},
	}
	for name, h := range handlers {
		for _, method := range []string{"GET", "POST", "SEARCH", "HEAD"} {
			for _, bound := range []int64{0, 150_000, 50_000, 1} {
				c := New(&Options{Methods: []string{"SEARCH"}, MaxBody: 300_000, MaxRequestBody: 1000, MaxInFlight: bound})
				for i, size := range []int{0, 10, 1000, 5000} {
					func() {
						defer func() { recover() }()
						r := httptest.NewRequest(method, fmt.Sprint("http://example.com/", i), nil)
						if r.Body = http.NoBody; method == "SEARCH" {
							r = httptest.NewRequest(method, fmt.Sprint("http://example.com/", i), bytes.NewReader(make([]byte, size)))
						}
						r.Header.Set("Range", "bytes=0-99999")
						c.Handler(h).ServeHTTP(httptest.NewRecorder(), r)
					}()
					for _, read := range []int64{0, 1, 1 << 20} { // of the body, before it is closed
						r := httptest.NewRequest(method, fmt.Sprint("http://example.com/", i), bytes.NewReader(make([]byte, size)))
						if method != "SEARCH" {
							r.Body = nil
						}
						res, err := c.Transport(roundTrip(func(r *http.Request) (*http.Response, error) {
							w := httptest.NewRecorder()
							if name == "a panic" {
								return nil, io.ErrUnexpectedEOF
							}
							h(w, r)
							return w.Result(), nil
						})).RoundTrip(r)
						if err == nil {
							io.CopyN(io.Discard, res.Body, read)
							res.Body.Close()
						}
					}
				}
				waitForZero(t, c)
			}
		}
	}
}

// A reader that does not read holds what has been written for it, and no more than
// that is counted.
func TestWhatAReaderHasNotReadIsCountedUntilItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, how := range []string{"read", "close"} {
			c := New(nil)
			res := fetchMiB(t, c)
			synctest.Wait()
			if n := c.core.Inflight.Used.Load(); n != 1<<20 {
				t.Errorf("before it is read, %d bytes are counted, want %d", n, 1<<20)
			}
			switch how {
			case "read":
				io.ReadAll(res.Body)
			case "close":
				res.Body.Close()
			}
			synctest.Wait()
			if n := c.core.Inflight.Used.Load(); n != 0 {
				t.Errorf("%s: %d bytes are counted in the end", how, n)
			}
		}
	})
}

func fetchMiB(t *testing.T, c *Cache) *http.Response {
	t.Helper()
	rt := c.Transport(roundTrip(func(r *http.Request) (*http.Response, error) {
		res := stream.NewResponse(200, header("Cache-Control: max-age=60"), r)
		res.Body, res.ContentLength = io.NopCloser(bytes.NewReader(make([]byte, 1<<20))), 1<<20
		return res, nil
	}))
	res, err := rt.RoundTrip(httptest.NewRequest("GET", "http://example.com/", nil))
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func TestAResponseThatIsForgottenIsNotCountedForEver(t *testing.T) {
	c := New(nil)
	fetchMiB(t, c)
	for deadline := time.Now().Add(10 * time.Second); c.core.Inflight.Used.Load() != 0; runtime.GC() {
		if time.Now().After(deadline) {
			t.Fatal("what nobody can read any more is still counted")
		}
	}
}

// Request bodies are among what is under way.
func TestRequestBodiesAreBoundedInSum(t *testing.T) {
	const bound = 1 << 20
	c := New(&Options{Methods: []string{"SEARCH"}, MaxInFlight: bound})
	var inside sync.WaitGroup
	end := make(chan struct{})
	h := c.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		inside.Done()
		<-end
		w.Header().Set("Cache-Control", "max-age=60")
		n, _ := io.Copy(w, r.Body)
		if n != 50_000 {
			t.Errorf("the handler got %d bytes of the body", n)
		}
	}))
	const clients = 100
	var all sync.WaitGroup
	inside.Add(clients)
	for i := range clients {
		all.Go(func() {
			w := httptest.NewRecorder()
			body := append(make([]byte, 49_990), fmt.Sprintf("%010d", i)...)
			h.ServeHTTP(w, httptest.NewRequest("SEARCH", "http://example.com/", bytes.NewReader(body)))
			if !bytes.Equal(w.Body.Bytes(), body) {
				t.Errorf("client %d got what is not its answer", i)
			}
		})
	}
	inside.Wait()
	if n := c.core.Inflight.Used.Load(); n > bound || n < bound/2 {
		t.Errorf("%d bytes are counted, of %d", n, bound)
	}
	close(end)
	all.Wait()
	waitForZero(t, c)
}
