package httpcache_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0226adef/memo"
	"github.com/seed-0226adef/memo/httpcache"
)

// An origin is a server behind the cache of a client.
type origin struct {
	url    string
	client *http.Client
	cache  *httpcache.Cache
	runs   atomic.Int64
}

func newOrigin(t *testing.T, o *httpcache.Options, serve http.HandlerFunc) *origin {
	t.Helper()
	s := &origin{cache: httpcache.New(o)}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.runs.Add(1)
		serve(w, r)
	}))
	t.Cleanup(srv.Close)
	s.url, s.client = srv.URL, &http.Client{Transport: s.cache.Transport(srv.Client().Transport)}
	return s
}

func (s *origin) do(t *testing.T, method, path string, fields ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequest(method, s.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		req.Header.Add(name, value)
	}
	res, err := s.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	return res, body(t, res)
}

func (s *origin) wantRuns(t *testing.T, want int64) {
	t.Helper()
	if got := s.runs.Load(); got != want {
		t.Errorf("the origin was asked %d times, want %d", got, want)
	}
}

func TestAClientAsksOnce(t *testing.T) {
	s := newOrigin(t, nil, saying("Cache-Control: private, max-age=60", "Connection: X-Hop", "X-Hop: 1", "X-A: 1"))
	for i := range 3 {
		res, b := s.do(t, "GET", "/", "Authorization: me")
		if b != "answer 1" || res.ContentLength != 8 || res.StatusCode != 200 || res.Status != "200 OK" || res.Request == nil {
			t.Errorf("%d: got %q, %+v", i, b, res)
		}
		if res.Header.Get("X-Hop") != "" || res.Header.Get("X-A") != "1" || (res.Header.Get("Age") == "") != (i == 0) {
			t.Errorf("%d: got %v", i, res.Header)
		}
		res.Header["X-A"][0] = "changed by its owner"
	}
	s.wantRuns(t, 1)
}

func TestASharedTransportObeysWhatSharedCachesDo(t *testing.T) {
	s := newOrigin(t, &httpcache.Options{Shared: true}, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", r.URL.RawQuery)
	})
	for _, control := range []string{"private,max-age=60", "max-age=0,s-maxage=60", "max-age=60"} {
		s.do(t, "GET", "/?"+control)
		s.do(t, "GET", "/?"+control)
	}
	s.do(t, "GET", "/?max-age=60", "Authorization: me")
	s.wantRuns(t, 5)
}

func TestAClientsStaleResponseIsValidated(t *testing.T) {
	s := newOrigin(t, nil, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-cache")
		w.Header().Set("Etag", `"a"`)
		if r.Header.Get("If-None-Match") == `"a"` {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		io.WriteString(w, "hello")
	})
	for range 3 {
		if res, b := s.do(t, "GET", "/"); b != "hello" || res.StatusCode != 200 || res.ContentLength != 5 {
			t.Errorf("got %s, %q", res.Status, b)
		}
	}
	if res, b := s.do(t, "GET", "/", `If-None-Match: "a"`); res.StatusCode != http.StatusNotModified || b != "" {
		t.Errorf("got %s, %q", res.Status, b)
	}
	s.wantRuns(t, 4)
	if n := s.cache.Stats().Revalidated; n != 3 {
		t.Errorf("Revalidated is %d, want 3", n)
	}
}

func TestAClientsBodyCanBeReadWhileItIsStored(t *testing.T) {
	proceed := make(chan struct{})
	s := newOrigin(t, nil, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		io.WriteString(w, "a")
		w.(http.Flusher).Flush()
		<-proceed
		io.WriteString(w, "b")
	})
	res, err := s.client.Get(s.url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	first := make([]byte, 1)
	if _, err := io.ReadFull(res.Body, first); err != nil || first[0] != 'a' {
		t.Errorf("got %q, %v", first, err)
	}
	close(proceed)
	if rest, err := io.ReadAll(res.Body); err != nil || string(rest) != "b" {
		t.Errorf("got %q, %v", rest, err)
	}
	if _, b := s.do(t, "GET", "/"); b != "ab" {
		t.Errorf("stored is %q", b)
	}
	s.wantRuns(t, 1)
}

func TestManyClientsShareOneRoundTrip(t *testing.T) {
	gate := make(chan struct{})
	s := newOrigin(t, nil, func(w http.ResponseWriter, r *http.Request) {
		<-gate
		w.Header().Set("Cache-Control", "max-age=60")
		w.Write(page("/", 200_000))
	})
	var wg sync.WaitGroup
	for i := range 200 {
		wg.Go(func() {
			res, err := s.client.Get(s.url)
			if err != nil {
				t.Error(err)
				return
			}
			defer res.Body.Close()
			if i%3 == 0 {
				return // without having read anything
			}
			if b, err := io.ReadAll(res.Body); err != nil || !isPage("/", b) {
				t.Errorf("got %d bytes, %v", len(b), err)
			}
		})
	}
	time.AfterFunc(20*time.Millisecond, func() { close(gate) })
	wg.Wait()
	s.wantRuns(t, 1)
}

func TestATransportHonoursContexts(t *testing.T) {
	gone := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	s := newOrigin(t, nil, func(w http.ResponseWriter, r *http.Request) {
		cancel() // sooner, the origin might never hear of the request
		<-r.Context().Done()
		close(gone)
	})
	req, _ := http.NewRequestWithContext(ctx, "GET", s.url, nil)
	if _, err := s.client.Do(req); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
	<-gone
}

// A slowObserver lets time pass between an answer and who gets it.
type slowObserver struct{}

func (slowObserver) Observe(context.Context, memo.Event) { time.Sleep(time.Millisecond) }

// A client that had waited and got something stale took the status of the refresh
// for that of its own answer, or raced with it.
func TestARefreshIsNotTakenForTheAnswersOrigin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var runs atomic.Int64
		rt := httpcache.New(nil, memo.Observe(slowObserver{})).Transport(roundTripper(func(r *http.Request) (*http.Response, error) {
			time.Sleep(time.Second)
			res := respond(r, "hello", "Cache-Control: max-age=10, stale-while-revalidate=60", "Age: 20")
			res.Status = fmt.Sprint("200 the run ", runs.Add(1))
			return res, nil
		}))
		var wg sync.WaitGroup
		for i := range 3 {
			wg.Go(func() {
				req, _ := http.NewRequest("GET", "http://example.com/", nil)
				res, err := rt.RoundTrip(req)
				if err != nil {
					t.Error(err)
					return
				}
				if b := body(t, res); b != "hello" || res.Status == "200 the run 2" {
					t.Errorf("%d: got %q, %s", i, b, res.Status)
				}
			})
			synctest.Wait()
		}
		wg.Wait()
		time.Sleep(time.Minute)
		if n := runs.Load(); n != 2 {
			t.Errorf("the origin was asked %d times, want 2", n)
		}
	})
}

// All opaque URLs of a host had the key of its root.
func TestOpaqueURLsAreToldApart(t *testing.T) {
	rt := httpcache.New(nil).Transport(roundTripper(func(r *http.Request) (*http.Response, error) {
		return respond(r, r.URL.RequestURI(), "Cache-Control: max-age=60"), nil
	}))
	for range 2 {
		for _, u := range []url.URL{{}, {Opaque: "//example.com/a"}, {Opaque: "//example.com/b"}, {Opaque: "/a"}, {Opaque: "//example.com/a", RawQuery: "b"}} {
			u.Scheme, u.Host = "http", "example.com"
			want := u.RequestURI()
			res, err := rt.RoundTrip(&http.Request{Method: "GET", Header: http.Header{}, URL: &u})
			if err != nil {
				t.Fatal(err)
			}
			if got := body(t, res); got != want {
				t.Errorf("%s got the response of %s", want, got)
			}
		}
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func respond(r *http.Request, body string, fields ...string) *http.Response {
	res := &http.Response{StatusCode: 200, ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), ContentLength: -1, Request: r}
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		res.Header.Add(name, value)
	}
	return res
}

func TestErrorsOfTheOriginAreReturnedAsTheyAre(t *testing.T) {
	want := errors.New("no route to host")
	rt := httpcache.New(nil).Transport(roundTripper(func(*http.Request) (*http.Response, error) { return nil, want }))
	for _, method := range []string{"GET", "HEAD", "POST"} {
		req, _ := http.NewRequest(method, "http://example.com/", nil)
		if _, err := rt.RoundTrip(req); err != want {
			t.Errorf("%s: got %v, want %v", method, err, want)
		}
	}
}

func TestAPanicOfTheNextRoundTripperIsItsCallers(t *testing.T) {
	rt := httpcache.New(nil).Transport(roundTripper(func(*http.Request) (*http.Response, error) { panic("broken") }))
	defer func() {
		if v := recover(); v != "broken" {
			t.Errorf("got the panic %v", v)
		}
	}()
	req, _ := http.NewRequest("GET", "http://example.com/", nil)
	rt.RoundTrip(req)
	t.Error("it returned")
}

func TestASearchByPostIsSentAgainWhole(t *testing.T) {
	var sent atomic.Int64
	rt := httpcache.New(&httpcache.Options{Methods: []string{"POST"}}).Transport(roundTripper(func(r *http.Request) (*http.Response, error) {
		sent.Add(1)
		b, _ := io.ReadAll(r.Body)
		if string(b) != "query" {
			t.Errorf("the origin gets %q", b)
		}
		if r.Header.Get("If-None-Match") != "" {
			res := respond(r, "", `Etag: "b"`) // about another response
			res.StatusCode = http.StatusNotModified
			return res, nil
		}
		return respond(r, "found", "Cache-Control: no-cache", `Etag: "a"`), nil
	}))
	for range 2 {
		req, _ := http.NewRequest("POST", "http://example.com/", strings.NewReader("query"))
		res, err := rt.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		if b := body(t, res); b != "found" {
			t.Errorf("got %q", b)
		}
	}
	if sent.Load() != 3 {
		t.Errorf("the origin was asked %d times, want 3", sent.Load())
	}
}

func TestAStaleResponseStandsInForAnOriginThatIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var gone atomic.Bool
		rt := httpcache.New(&httpcache.Options{StaleIfError: time.Minute}).Transport(roundTripper(func(r *http.Request) (*http.Response, error) {
			if gone.Load() {
				return nil, io.ErrUnexpectedEOF
			}
			return respond(r, "hello", "Cache-Control: "+r.URL.RawQuery), nil
		}))
		get := func(query string) (string, error) {
			req, _ := http.NewRequest("GET", "http://example.com/?"+query, nil)
			res, err := rt.RoundTrip(req)
			if err != nil {
				return "", err
			}
			return body(t, res), nil
		}
		for _, query := range []string{"max-age=10", "max-age=10,must-revalidate"} {
			get(query)
		}
		gone.Store(true)
		time.Sleep(11 * time.Second)
		if b, err := get("max-age=10"); b != "hello" || err != nil {
			t.Errorf("got %q, %v", b, err)
		}
		if b, err := get("max-age=10,must-revalidate"); err != io.ErrUnexpectedEOF {
			t.Errorf("against the response's word: got %q, %v", b, err)
		}
	})
}

func TestABodyThatBreaksOffIsAnErrorAndNotStored(t *testing.T) {
	var runs atomic.Int64
	rt := httpcache.New(nil).Transport(roundTripper(func(r *http.Request) (*http.Response, error) {
		runs.Add(1)
		res := respond(r, "", "Cache-Control: max-age=60")
		res.Body = io.NopCloser(io.MultiReader(strings.NewReader("half"), brokenReader{}))
		return res, nil
	}))
	for range 2 {
		req, _ := http.NewRequest("GET", "http://example.com/", nil)
		res, err := rt.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(res.Body); string(b) != "half" || err != io.ErrUnexpectedEOF {
			t.Errorf("got %q, %v", b, err)
		}
	}
	if runs.Load() != 2 {
		t.Errorf("the origin was asked %d times, want 2", runs.Load())
	}
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestAClientsUnsafeRequestDropsWhatItChanges(t *testing.T) {
	s := newOrigin(t, nil, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		b, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s", r.Method, b)
	})
	s.do(t, "GET", "/")
	res, err := s.client.Post(s.url+"/", "text/plain", strings.NewReader("new"))
	if err != nil {
		t.Fatal(err)
	}
	if b := body(t, res); b != "POST new" {
		t.Errorf("got %q", b)
	}
	res.Body.Close()
	s.do(t, "GET", "/")
	s.wantRuns(t, 3)
}

func TestTrailersReachClients(t *testing.T) {
	s := newOrigin(t, nil, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		w.Header().Set("Trailer", "X-Sum")
		w.(http.Flusher).Flush()
		io.WriteString(w, "hello")
		w.Header().Set("X-Sum", "1")
	})
	for i := range 2 {
		if res, b := s.do(t, "GET", "/"); b != "hello" || res.Trailer.Get("X-Sum") != "1" {
			t.Errorf("%d: got %q, %v", i, b, res.Trailer)
		}
	}
	s.wantRuns(t, 1)
}

func TestACompressedBodyIsStoredAsItWasReceived(t *testing.T) {
	s := newOrigin(t, nil, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		w.Header().Set("Content-Encoding", "x-own")
		w.Write(bytes.Repeat([]byte{1}, 100))
	})
	for range 2 {
		if res, b := s.do(t, "GET", "/"); len(b) != 100 || res.Header.Get("Content-Encoding") != "x-own" {
			t.Errorf("got %d bytes, %v", len(b), res.Header)
		}
	}
	s.wantRuns(t, 1)
}

// A private cache may store what is meant for one user. A program's client often acts
// for many.
func TestPrivateTransportKeepsPrincipalsApart(t *testing.T) {
	for _, field := range []string{"Authorization", "Cookie"} {
		o := newOrigin(t, nil, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "private, max-age=60")
			fmt.Fprintf(w, "for %q", r.Header.Get(field))
		})
		for range 2 {
			for _, who := range []string{"ann", "bob", ""} {
				var fields []string
				if who != "" {
					fields = []string{field + ": " + who}
				}
				if _, got := o.do(t, "GET", "/", fields...); got != fmt.Sprintf("for %q", who) {
					t.Errorf("%s %q got what is %s", field, who, got)
				}
			}
		}
		if n := o.runs.Load(); n > 4 { // the first plain response has gone when the index came
			t.Errorf("%s: three principals made the origin answer %d times, want 3 or 4", field, n)
		}
	}
}

func TestPrivateTransportRunsPersonalRequestsApart(t *testing.T) {
	both := make(chan struct{}, 2)
	o := newOrigin(t, nil, func(w http.ResponseWriter, r *http.Request) {
		both <- struct{}{}
		for len(both) < 2 { // each is here while the other is
			select {
			case <-r.Context().Done():
				return
			default:
				runtime.Gosched()
			}
		}
		w.Header().Set("Cache-Control", "max-age=60")
		fmt.Fprint(w, r.Header.Get("Authorization"))
	})
	o.client.Timeout = 10 * time.Second // ends one that waits for the other
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			if _, got := o.do(t, "GET", "/", "Authorization: ann"); got != "ann" {
				t.Errorf("got %q, want ann's", got)
			}
		})
	}
	wg.Wait()
}
