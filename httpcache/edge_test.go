package httpcache_test

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0226adef/memo"
	"github.com/seed-0226adef/memo/httpcache"
)

func TestWhoWaitsDoesNotGetWhatTheHandlerKeepsOut(t *testing.T) {
	for _, late := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s := newSite(nil, func(w http.ResponseWriter, r *http.Request) {
				time.Sleep(time.Second)
				w.Header().Set("Cache-Control", "max-age=60")
				if late {
					fmt.Fprint(w, r.Header.Get("Me"))
				}
				memo.NoStore(r.Context())
				if !late {
					fmt.Fprint(w, r.Header.Get("Me"))
					time.Sleep(time.Hour)
				}
			})
			var wg sync.WaitGroup
			began := time.Now()
			for i := range 3 {
				wg.Go(func() {
					me := fmt.Sprint(i)
					if got := body(t, s.get("/", "Me: "+me)); got != me {
						t.Errorf("%s got what is for %s", me, got)
					}
				})
			}
			wg.Wait()
			if took := time.Since(began); took > time.Hour+2*time.Second {
				t.Errorf("the clients waited for one another: %v", took)
			}
		})
	}
}

func TestAStreamGoesOnWhenOthersHaveBeenToldNotToWait(t *testing.T) {
	for _, o := range []*httpcache.Options{{}, {MaxBody: 10}} {
		synctest.Test(t, func(t *testing.T) {
			var canceled atomic.Int64
			s := newSite(o, func(w http.ResponseWriter, r *http.Request) {
				if o.MaxBody == 0 {
					w.Header().Set("Cache-Control", "no-store")
				} else {
					w.Header().Set("Cache-Control", "max-age=60")
				}
				io.WriteString(w, "more than ten bytes")
				select {
				case <-time.After(time.Minute):
				case <-r.Context().Done():
					canceled.Add(1)
				}
			})
			s.get("/")
			if canceled.Load() != 0 {
				t.Error("the handler was cancelled, although its client reads")
			}
			ctx, leave := context.WithTimeout(t.Context(), time.Second)
			defer leave()
			s.send(request("GET", "/").WithContext(ctx))
			if canceled.Load() != 1 {
				t.Error("the handler was not cancelled when its client left")
			}
		})
	}
}

func TestWhatIsStoredBesideARunIsNotOlderThanAPurge(t *testing.T) {
	purges := map[string]func(*httpcache.Cache){
		"url":   func(c *httpcache.Cache) { c.Purge(context.Background(), "http://example.com/") },
		"tag":   func(c *httpcache.Cache) { c.PurgeTags(context.Background(), "t") },
		"clear": func(c *httpcache.Cache) { c.Clear(context.Background()) },
	}
	for name, purge := range purges {
		for _, kind := range []string{"POST", "HEAD", "part"} {
			t.Run(name+"/"+kind, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var slow atomic.Bool
					s := newSite(nil, func(w http.ResponseWriter, r *http.Request) {
						h := w.Header()
						h.Set("Cache-Control", "max-age=60")
						h.Set("Cache-Tag", "t")
						h.Set("Content-Location", "/")
						h.Set("Etag", `"a"`)
						if r.Header.Get("Range") != "" {
							h.Set("Content-Range", "bytes 0-4/10")
							w.WriteHeader(http.StatusPartialContent)
						}
						if r.Method != "HEAD" {
							io.WriteString(w, "hello")
						}
						if slow.Load() {
							time.Sleep(time.Second)
						}
					})
					send := map[string]func() *http.Response{
						"POST": func() *http.Response { return s.do("POST", "/") },
						"HEAD": func() *http.Response { return s.do("HEAD", "/", "Cache-Control: no-cache") },
						"part": func() *http.Response { return s.get("/", "Range: bytes=0-4") },
					}[kind]
					ask := func() *http.Response { return s.get("/") }
					if kind == "part" {
						ask = send
					}
					if kind == "HEAD" {
						s.get("/")
						time.Sleep(30 * time.Second)
					}
					send()
					before := s.runs.Load()
					ask()
					s.wantRuns(t, before) // it is stored
					s.cache.Clear(context.Background())
					if kind == "HEAD" {
						s.get("/")
					}
					slow.Store(true)
					go send()
					synctest.Wait()
					purge(s.cache)
					time.Sleep(2 * time.Second)
					slow.Store(false)
					before = s.runs.Load()
					ask()
					s.wantRuns(t, before+1)
				})
			})
		}
	}
}

func TestAnUnrelatedChangeDoesNotKeepAPostFromBeingStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(nil, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "max-age=60")
			w.Header().Set("Content-Location", r.URL.Path)
			if r.Method == "POST" {
				time.Sleep(time.Second)
			}
			io.WriteString(w, r.Method)
		})
		go s.do("POST", "/a")
		synctest.Wait()
		s.do("PUT", "/b")
		time.Sleep(2 * time.Second)
		if got := body(t, s.get("/a")); got != "POST" {
			t.Errorf("got %q", got)
		}
	})
}

func TestAHeadOfAnotherLengthDropsWhatIsStored(t *testing.T) {
	var length atomic.Value
	length.Store("5")
	s := newSite(nil, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		w.Header().Set("Content-Length", length.Load().(string))
		w.WriteHeader(http.StatusOK)
		if r.Method == "GET" {
			io.WriteString(w, "hello")
		}
	})
	s.get("/")
	length.Store("6")
	s.do("HEAD", "/", "Cache-Control: no-cache")
	length.Store("5")
	s.get("/")
	s.wantRuns(t, 3)
}

func TestWhatIsValidatedAtEveryUseKeepsNobodyWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(nil, func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(time.Second)
			w.Header().Set("Cache-Control", "no-cache")
			w.Header().Set("Etag", `"a"`)
			if r.Header.Get("If-None-Match") != "" {
				w.WriteHeader(http.StatusNotModified)
				return
			}
			w.WriteHeader(http.StatusOK)
		})
		s.get("/")
		time.Sleep(time.Second)
		began := time.Now()
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() { s.get("/") })
		}
		wg.Wait()
		if took := time.Since(began); took != time.Second {
			t.Errorf("five validations took %v, one after the other", took)
		}
		s.wantRuns(t, 6)
	})
}

func TestAStaleResponseIsValidatedOnceForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(nil, func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(time.Second)
			saying("Cache-Control: max-age=60", `Etag: "a"`)(w, r)
		})
		s.get("/")
		time.Sleep(2 * time.Minute)
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() { s.get("/") })
			synctest.Wait()
		}
		wg.Wait()
		s.wantRuns(t, 2)
	})
}

func TestWhatOthersRewriteIsPartOfTheKey(t *testing.T) {
	for _, tenants := range [][]string{{"a", "b", ""}, {"", "a", "b", ""}, {"b", "", "a"}} {
		s := newSite(nil, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "max-age=60")
			fmt.Fprint(w, r.URL.Path)
		})
		for _, tenant := range tenants {
			r := request("GET", "/x")
			r.RequestURI = "/x"
			if tenant != "" {
				r.URL.Path = "/" + tenant + "/x"
			}
			if got := body(t, s.send(r)); got != r.URL.Path {
				t.Errorf("%q: tenant %q got %s", tenants, tenant, got)
			}
		}
	}
}

// A deadWriter is a client that has gone without a word.
type deadWriter struct{ http.ResponseWriter }

var errDead = errors.New("broken pipe")

func (deadWriter) Write([]byte) (int, error) { return 0, errDead }

func TestAHandlerThatRunsForOneClientLearnsThatItIsGone(t *testing.T) {
	tests := map[string]struct {
		control string
		size    int
	}{
		"not stored": {"no-store", 10},
		"too long":   {"max-age=60", 9000},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := newSite(&httpcache.Options{MaxBody: 8000}, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Cache-Control", tt.control)
				var errs [3]error
				for i := range errs {
					_, errs[i] = w.Write(make([]byte, tt.size/2))
				}
				if tt.control == "no-store" && errs[0] != errDead || errs[2] == nil {
					t.Errorf("the handler's writes give %v", errs)
				}
			})
			s.ServeHTTP(deadWriter{httptest.NewRecorder()}, request("GET", "/"))
		})
	}
}

func TestAHandlerThatRunsForOthersDoesNotLearnThatOneIsGone(t *testing.T) {
	s := newSite(nil, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		for range 20 {
			if _, err := w.Write(make([]byte, 1000)); err != nil {
				t.Error(err)
			}
		}
	})
	s.ServeHTTP(deadWriter{httptest.NewRecorder()}, request("GET", "/"))
	if n := len(body(t, s.get("/"))); n != 20_000 {
		t.Errorf("stored are %d bytes", n)
	}
	s.wantRuns(t, 1)
}

func TestVaryOfOthersIsKeptBesideTheStoredOne(t *testing.T) {
	vary := newSite(nil, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		w.Header().Set("Vary", "Foo")
		w.WriteHeader(http.StatusOK)
	})
	vary.get("/")
	w := httptest.NewRecorder()
	w.Header().Set("Vary", "Accept-Encoding")
	vary.ServeHTTP(w, request("GET", "/"))
	if got := w.Header()["Vary"]; len(got) != 2 || got[0] != "Accept-Encoding" || got[1] != "Foo" {
		t.Errorf("got %q", got)
	}
}

func TestARefreshThatFailedIsNotTriedAgainAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var fail atomic.Bool
		s := newSite(nil, func(w http.ResponseWriter, r *http.Request) {
			if fail.Load() {
				panic("broken")
			}
			saying("Cache-Control: max-age=1, stale-while-revalidate=60")(w, r)
		})
		s.get("/")
		fail.Store(true)
		time.Sleep(2 * time.Second)
		for range 10 {
			if got := body(t, s.get("/")); got != "answer 1" {
				t.Errorf("got %q", got)
			}
			synctest.Wait()
		}
		s.wantRuns(t, 2)
		time.Sleep(2 * time.Second)
		s.get("/")
		synctest.Wait()
		s.wantRuns(t, 3)
	})
}

func TestAHandlerAndATransportShareNoResponses(t *testing.T) {
	c := httpcache.New(nil)
	rt := c.Transport(roundTripper(func(r *http.Request) (*http.Response, error) {
		return respond(r, "private", "Cache-Control: private, max-age=60"), nil
	}))
	req, _ := http.NewRequest("GET", "http://example.com/", nil)
	res, err := rt.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	body(t, res)
	w := httptest.NewRecorder()
	c.Handler(saying()).ServeHTTP(w, request("GET", "/"))
	if got := w.Body.String(); got != "answer 1" {
		t.Errorf("the handler's client got %q", got)
	}
}

func TestWhatOnlyItsLifetimeAllowsToStoreIsStoredAgainWhenValidated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, fields := range [][]string{nil, {"Cookie: a"}} {
			s := newSite(nil, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Cache-Control", "max-age=60")
				w.Header().Set("Etag", `"a"`)
				if r.Header.Get("If-None-Match") != "" {
					w.WriteHeader(http.StatusNotModified)
					return
				}
				http.Redirect(w, r, "/elsewhere", http.StatusFound)
			})
			s.get("/", fields...)
			time.Sleep(2 * time.Minute)
			for range 3 {
				if res := s.get("/", fields...); res.StatusCode != http.StatusFound {
					t.Errorf("got %s", res.Status)
				}
			}
			s.wantRuns(t, 2)
		}
	})
}

func TestTheTimeThatAHandlerTakesDoesNotAgeItsResponse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(nil, func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(5 * time.Second)
			saying("Cache-Control: max-age=3")(w, r)
		})
		s.get("/")
		if got := s.get("/").Header.Get("Age"); got != "0" {
			t.Errorf("Age is %q", got)
		}
		s.wantRuns(t, 1)
	})
}

func TestA304ToTheClientsOwnConditionIsItsAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(nil, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "max-age=60")
			w.Header().Set("Etag", `"a"`)
			if r.Header.Get("If-None-Match") == `"b"` {
				w.Header().Set("Etag", `"b"`)
				w.WriteHeader(http.StatusNotModified)
			}
		})
		s.get("/")
		time.Sleep(2 * time.Minute)
		if res := s.do("HEAD", "/", `If-None-Match: "b"`); res.StatusCode != http.StatusNotModified || res.Header.Get("Etag") != `"b"` {
			t.Errorf("got %s, %v", res.Status, res.Header)
		}
	})
}

func TestARequestThatLeavesNoTraceIsNotComparedWithWhatIsStored(t *testing.T) {
	s := newSite(nil, func(w http.ResponseWriter, r *http.Request) {
		if c := r.Header.Get("If-None-Match"); c != "" {
			t.Errorf("the handler is asked about %s", c)
		}
		saying("Cache-Control: max-age=60", `Etag: "a"`)(w, r)
	})
	s.get("/")
	s.get("/", "Cache-Control: no-store", "Authorization: me")
	s.wantRuns(t, 2)
}

func TestAClientThatLeavesWithTheLastByteHasItStored(t *testing.T) {
	ctx, leave := context.WithCancel(t.Context())
	s := newSite(nil, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		w.Header().Set("Content-Length", "5")
		io.WriteString(w, "hello")
		leave()
	})
	s.send(request("GET", "/").WithContext(ctx))
	if n := s.cache.Stats().Stored; n != 1 {
		t.Errorf("%d responses are stored, want 1", n)
	}
}

func TestAReaderThatHasEnoughBeforeTheEndHasItStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var runs atomic.Int64
		proceed := make(chan struct{})
		rt := httpcache.New(nil).Transport(roundTripper(func(r *http.Request) (*http.Response, error) {
			runs.Add(1)
			res := respond(r, "", "Cache-Control: max-age=60")
			res.Body = io.NopCloser(io.MultiReader(strings.NewReader(`{"a":1}`), waitingReader{proceed}, strings.NewReader("\n")))
			return res, nil
		}))
		for i := range 2 {
			req, _ := http.NewRequest("GET", "http://example.com/", nil)
			res, err := rt.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			var v struct{ A int }
			if err := json.NewDecoder(res.Body).Decode(&v); err != nil || v.A != 1 {
				t.Errorf("got %v, %v", v, err)
			}
			res.Body.Close()
			if i == 0 {
				time.Sleep(50 * time.Millisecond)
				close(proceed)
			}
			synctest.Wait()
		}
		if got := runs.Load(); got != 1 {
			t.Errorf("the origin was asked %d times, want 1", got)
		}
	})
}

func TestTheTagOfACompressedBodyIsWeakForThePlainOne(t *testing.T) {
	s := newOrigin(t, nil, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		w.Header().Set("Content-Encoding", "gzip")
		w.Header().Set("Etag", `"a"`)
		zip := gzip.NewWriter(w)
		io.WriteString(zip, "hello")
		zip.Close()
	})
	for range 2 {
		if res, b := s.do(t, "GET", "/"); b != "hello" || res.Header.Get("Etag") != `W/"a"` {
			t.Errorf("got %q, %v", b, res.Header)
		}
	}
	s.wantRuns(t, 1)
}
