package httpcache_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0226adef/memo/httpcache"
)

// page is a body that says by itself whether it is whole.
func page(name string, size int) []byte {
	fill := bytes.Repeat([]byte(name+"|"), size/(len(name)+1)+1)[:size]
	sum := sha256.Sum256(fill)
	return append(sum[:], fill...)
}

func isPage(name string, b []byte) bool {
	if len(b) < sha256.Size || !bytes.HasPrefix(b[sha256.Size:], []byte(name)) {
		return false
	}
	sum := sha256.Sum256(b[sha256.Size:])
	return bytes.Equal(sum[:], b[:sha256.Size])
}

func TestTenThousandClientsOfAColdPageRunTheHandlerOnce(t *testing.T) {
	const clients = 10_000
	gate := make(chan struct{})
	s := newSite(nil, func(w http.ResponseWriter, r *http.Request) {
		<-gate
		w.Header().Set("Cache-Control", "max-age=60")
		for _, part := range bytes.SplitAfter(page(r.URL.Path, 20_000), []byte("|")) {
			if _, err := w.Write(part); err != nil {
				t.Errorf("the handler is told of a client's trouble: %v", err)
				return
			}
		}
	})
	var wg sync.WaitGroup
	var whole, left atomic.Int64
	for range clients {
		wg.Go(func() {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			leaves := rand.IntN(3) == 0
			if leaves {
				time.AfterFunc(time.Duration(rand.IntN(int(100*time.Millisecond))), cancel)
			}
			w := httptest.NewRecorder()
			s.ServeHTTP(w, request("GET", "/page").WithContext(ctx))
			switch {
			case isPage("/page", w.Body.Bytes()):
				whole.Add(1)
			case leaves && ctx.Err() != nil:
				left.Add(1)
			default:
				t.Errorf("a client that has stayed got %d, %d bytes", w.Code, w.Body.Len())
			}
		})
	}
	time.AfterFunc(50*time.Millisecond, func() { close(gate) })
	wg.Wait()
	s.wantRuns(t, 1)
	t.Logf("%d clients got the page, %d left; %+v", whole.Load(), left.Load(), s.cache.Stats())
}

func TestManyClientsOverSocketsGetWholeAndRightPages(t *testing.T) {
	c := httpcache.New(nil)
	var runs [8]atomic.Int64
	srv := httptest.NewServer(c.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var n int
		fmt.Sscanf(r.URL.Path, "/page%d", &n)
		runs[n].Add(1)
		w.Header().Set("Cache-Control", "max-age=60")
		for _, part := range bytes.SplitAfter(page(r.URL.Path, 300_000), []byte("5|")) {
			w.Write(part)
		}
	})))
	defer srv.Close()
	transport := &http.Transport{MaxIdleConnsPerHost: 100}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	var wg sync.WaitGroup
	for i := range 400 {
		wg.Go(func() {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			path := fmt.Sprintf("/page%d", i%len(runs))
			req, _ := http.NewRequestWithContext(ctx, "GET", srv.URL+path, nil)
			leaves := rand.IntN(3) == 0
			if leaves {
				time.AfterFunc(time.Duration(rand.IntN(int(20*time.Millisecond))), cancel)
			}
			res, err := client.Do(req)
			if err == nil {
				var b []byte
				b, err = io.ReadAll(res.Body)
				res.Body.Close()
				if err == nil && !isPage(path, b) {
					t.Errorf("%s: got %d bytes that are not the page", path, len(b))
				}
			}
			if err != nil && !errors.Is(err, context.Canceled) {
				t.Errorf("%s: %v", path, err)
			}
		})
	}
	wg.Wait()
	for n := range runs {
		res, err := client.Get(fmt.Sprintf("%s/page%d", srv.URL, n))
		if err != nil {
			t.Fatal(err)
		}
		if b, _ := io.ReadAll(res.Body); !isPage(fmt.Sprintf("/page%d", n), b) {
			t.Errorf("page %d is stored wrongly", n)
		}
		res.Body.Close()
	}
}

func TestTheFirstClientMayLeaveTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(nil, func(w http.ResponseWriter, r *http.Request) {
			select {
			case <-time.After(time.Second):
			case <-r.Context().Done():
				t.Error("the handler was cancelled, although somebody waits")
			}
			saying("Cache-Control: max-age=60")(w, r)
		})
		ctx, leave := context.WithCancel(t.Context())
		go s.send(request("GET", "/").WithContext(ctx))
		synctest.Wait()
		second := make(chan *http.Response)
		go func() { second <- s.get("/") }()
		synctest.Wait()
		leave()
		if got := body(t, <-second); got != "answer 1" {
			t.Errorf("got %q", got)
		}
		s.wantRuns(t, 1)
	})
}

func TestWhenAllClientsHaveLeftTheHandlerIsCancelledAndNothingIsStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		canceled := false
		s := newSite(nil, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "max-age=60")
			io.WriteString(w, "a part of ")
			select {
			case <-time.After(time.Hour):
				io.WriteString(w, "the whole")
			case <-r.Context().Done():
				canceled = true
			}
		})
		ctx, leave := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() { s.send(request("GET", "/").WithContext(ctx)) })
		}
		synctest.Wait()
		leave()
		wg.Wait()
		if !canceled {
			t.Error("the handler was not cancelled")
		}
		if got := body(t, s.get("/")); got != "a part of the whole" {
			t.Errorf("later clients get %q", got)
		}
	})
}

func TestWhatIsNotForSharingIsKnownByTheHeader(t *testing.T) {
	tests := []struct {
		name   string
		fields []string
	}{
		{"private", []string{"Cache-Control: private, max-age=60"}},
		{"no-store", []string{"Cache-Control: no-store"}},
		{"a cookie is set", []string{"Cache-Control: max-age=60", "Set-Cookie: session=1"}},
		{"nothing is said", nil},
		{"it varies by everything", []string{"Cache-Control: max-age=60", "Vary: *"}},
		{"it is too long", []string{"Cache-Control: max-age=60", "Content-Length: 9000000"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSite(nil, func(w http.ResponseWriter, r *http.Request) {
					time.Sleep(time.Second)
					for _, f := range tt.fields {
						name, value, _ := strings.Cut(f, ": ")
						w.Header().Add(name, value)
					}
					fmt.Fprint(w, r.Header.Get("Me"))
					w.(http.Flusher).Flush()
					time.Sleep(time.Hour) // a stream that goes on
				})
				began := time.Now()
				var wg sync.WaitGroup
				for i := range 5 {
					wg.Go(func() {
						me := fmt.Sprint("client ", i)
						if got := body(t, s.get("/", "Me: "+me)); got != me {
							t.Errorf("%s got what is for %q", me, got)
						}
					})
				}
				wg.Wait()
				s.wantRuns(t, 5)
				if took := time.Since(began); took > time.Hour+2*time.Second {
					t.Errorf("the clients waited for one another: %v", took)
				}
			})
		})
	}
}

func TestPersonalRequestsAreNotCollapsed(t *testing.T) {
	for _, field := range []string{"Cookie: a=1", "Authorization: a"} {
		for _, collapse := range []bool{false, true} {
			t.Run(fmt.Sprint(field, " ", collapse), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := newSite(&httpcache.Options{CollapsePersonal: collapse}, func(w http.ResponseWriter, r *http.Request) {
						time.Sleep(time.Second)
						saying("Cache-Control: public, max-age=60")(w, r)
					})
					var wg sync.WaitGroup
					for i := range 10 {
						wg.Go(func() {
							if i%2 == 0 {
								s.get("/", field)
							} else {
								s.get("/")
							}
						})
						synctest.Wait()
					}
					wg.Wait()
					want := int64(10)
					if collapse {
						want = 1
					}
					s.wantRuns(t, want)
					s.get("/") // what the first brought is stored all the same
					s.wantRuns(t, want)
				})
			})
		}
	}
}

func TestAPanicIsTheFirstClientsAlone(t *testing.T) {
	for _, value := range []any{http.ErrAbortHandler, "broken"} {
		synctest.Test(t, func(t *testing.T) {
			var runs atomic.Int64
			s := newSite(nil, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Cache-Control", "max-age=60")
				io.WriteString(w, "half ")
				time.Sleep(time.Second)
				if runs.Add(1) == 1 {
					panic(value)
				}
				io.WriteString(w, "whole")
			})
			var wg sync.WaitGroup
			var panics atomic.Int64
			for range 5 {
				wg.Go(func() {
					defer func() {
						if v := recover(); v != nil {
							if v != value {
								t.Errorf("a client got the panic %v, want %v", v, value)
							}
							panics.Add(1)
						}
					}()
					if got := body(t, s.get("/")); got != "half whole" {
						t.Errorf("got %q", got)
					}
				})
			}
			wg.Wait()
			if panics.Load() != 1 {
				t.Errorf("%d clients got the panic, want 1", panics.Load())
			}
			s.wantRuns(t, 2)
		})
	}
}

func TestWhatIsShorterThanItSaysIsNotStored(t *testing.T) {
	s := newSite(nil, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		w.Header().Set("Content-Length", "10")
		io.WriteString(w, "short")
	})
	s.get("/")
	s.get("/")
	s.wantRuns(t, 2)
}

func TestWhatIsTooLongStreamsThrough(t *testing.T) {
	s := newSite(&httpcache.Options{MaxBody: 1000}, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		for range 11 {
			w.Write(make([]byte, 100))
		}
	})
	for range 2 {
		if n := len(body(t, s.get("/"))); n != 1100 {
			t.Errorf("got %d bytes", n)
		}
	}
	s.wantRuns(t, 2)
	if n := s.cache.Stats().Stored; n != 0 {
		t.Errorf("%d responses are stored", n)
	}
}

func TestAResourceThatIsNotForSharingKeepsNobodyWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(nil, func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(100 * time.Millisecond)
			saying("Cache-Control: no-store")(w, r)
		})
		s.get("/")
		began := time.Now()
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() { s.get("/") })
		}
		wg.Wait()
		if took := time.Since(began); took != 100*time.Millisecond {
			t.Errorf("ten clients took %v", took)
		}
	})
}

func TestAPurgeMakesARunningHandlersResponseTooOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var version atomic.Int64
		for _, vary := range []string{"", "A"} {
			s := newSite(nil, func(w http.ResponseWriter, r *http.Request) {
				seen := version.Load()
				time.Sleep(time.Second)
				w.Header().Set("Cache-Control", "max-age=60")
				w.Header().Set("Vary", vary)
				w.Header().Set("Cache-Tag", "t")
				fmt.Fprint(w, seen)
			})
			for _, purge := range []func() error{
				func() error { return s.cache.Purge(t.Context(), "http://example.com/") },
				func() error { return s.cache.PurgeTags(t.Context(), "t") },
				func() error { return s.cache.Clear(t.Context()) },
			} {
				go s.get("/")
				synctest.Wait()
				want := fmt.Sprint(version.Add(1))
				if err := purge(); err != nil {
					t.Fatal(err)
				}
				for range 2 {
					if got := body(t, s.get("/")); got != want {
						t.Errorf("after the purge: got %s, want %s", got, want)
					}
				}
				s.cache.Clear(t.Context())
			}
		}
	})
}

func TestACacheBehindItselfRunsTheHandler(t *testing.T) {
	c := httpcache.New(nil)
	h := c.Handler(c.Handler(saying("Cache-Control: max-age=60")))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, request("GET", "/"))
	if w.Body.String() != "answer 1" {
		t.Errorf("got %q", w.Body)
	}
}
