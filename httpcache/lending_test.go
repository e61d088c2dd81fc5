package httpcache

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/seed-0226adef/memo"
	"github.com/seed-0226adef/memo/httpcache/internal/stream"
)

// A stalled client takes the first byte of a response, and the rest when it is told to.
type stalled struct {
	counter
	begun func()
	rest  chan struct{}
}

func (s *stalled) Write(p []byte) (int, error) {
	s.begun()
	<-s.rest
	return s.counter.Write(p)
}

// Pages that the tier had dropped long ago stayed in memory, uncounted, as long as
// somebody read them slowly: anybody could ask for page after page, and end the process.
func TestStoredPagesThatAreReadSlowlyTakeNoMoreThanTheBound(t *testing.T) {
	const bound, size, clients = 16 << 20, 1 << 20, 100
	page := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		w.Header().Set("Content-Type", "text/plain")
		for range size / len(filler) {
			w.Write(filler)
		}
	})
	for _, o := range []memo.Option{memo.LocalBytes(bound), memo.Local(1)} {
		for _, field := range []string{"", "Range: bytes=0-1048000", "Range: bytes=0-500000,600000-1048000"} {
			t.Run("handler, "+field, func(t *testing.T) {
				cache := New(&Options{MaxInFlight: bound, Ranges: true}, o)
				handler := cache.Handler(page)
				begun, ended, rest := sync.WaitGroup{}, sync.WaitGroup{}, make(chan struct{})
				before := heap()
				for i := range clients {
					url := fmt.Sprint("http://example.com/", i)
					for range 5 { // it may not be stored at once
						handler.ServeHTTP(&counter{header: http.Header{}}, httptest.NewRequest("GET", url, nil))
					}
					begun.Add(1)
					ended.Go(func() {
						r := httptest.NewRequest("GET", url, nil)
						r.Header = header(field)
						s := &stalled{counter{header: http.Header{}}, sync.OnceFunc(begun.Done), rest}
						if handler.ServeHTTP(s, r); s.size < 900_000 {
							t.Errorf("a client got %d bytes", s.size)
						}
					})
					begun.Wait()
				}
				if took := heap() - before; took > 3*bound {
					t.Errorf("%d pages of 1 MiB that are read slowly take %d MiB, want %d at most beside what is stored", clients, took>>20, bound>>20)
				}
				if used := cache.core.Sending.Used.Load(); used > bound || used < bound/4 {
					t.Errorf("%d bytes are counted, of %d", used, bound)
				}
				close(rest)
				ended.Wait()
				waitForZero(t, cache)
			})
		}
	}
}

// What a Transport has stored counts until its reader has closed the body.
func TestStoredResponsesOfATransportCountAsLongAsTheyAreRead(t *testing.T) {
	const size = 1 << 20
	for _, field := range []string{"", "Range: bytes=0-1048000", "Range: bytes=0-500000,600000-1048000"} {
		cache := New(&Options{MaxInFlight: 4 * size}, memo.Local(100))
		client := cache.Transport(roundTrip(func(r *http.Request) (*http.Response, error) {
			res := stream.NewResponse(200, header("Cache-Control: max-age=60"), r)
			res.Body = io.NopCloser(bytes.NewReader(bytes.Repeat(filler, size/len(filler))))
			return res, nil
		}))
		get := func(fields ...string) *http.Response {
			r := httptest.NewRequest("GET", "http://example.com/", nil)
			r.Header = header(fields...)
			res, err := client.RoundTrip(r)
			if err != nil {
				t.Fatal(err)
			}
			return res
		}
		res := get()
		io.Copy(io.Discard, res.Body)
		res.Body.Close()
		waitForZero(t, cache)
		var open []*http.Response
		for range 10 {
			open = append(open, get(field))
		}
		if used := cache.core.Sending.Used.Load(); used != size || cache.Stats().Hits != 10 {
			t.Errorf("%s: ten bodies of one stored response count %d bytes, want %d, after %d hits", field, used, size, cache.Stats().Hits)
		}
		for _, res := range open {
			if b, err := io.ReadAll(res.Body); len(b) < 900_000 || err != nil {
				t.Errorf("got %d bytes, %v", len(b), err)
			}
			res.Body.Close()
			res.Body.Close()
		}
		waitForZero(t, cache)
	}
}

// Those who have waited for a response that comes by a Transport share its bytes.
func TestThoseWhoWaitedForATransportShareWhatItStores(t *testing.T) {
	const size, clients = 2 << 20, 50
	cache := New(nil, memo.Local(100))
	body, w := io.Pipe()
	client := cache.Transport(roundTrip(func(r *http.Request) (*http.Response, error) {
		res := stream.NewResponse(200, header("Cache-Control: max-age=60"), r)
		res.Body = body
		return res, nil
	}))
	before := heap()
	responses := make(chan *http.Response, clients)
	for range clients {
		go func() {
			res, err := client.RoundTrip(httptest.NewRequest("GET", "http://example.com/", nil))
			if err != nil {
				t.Error(err)
			}
			responses <- res
		}()
	}
	first := <-responses
	go func() {
		w.Write(bytes.Repeat(filler, size/len(filler)))
		w.Close()
	}()
	all := []*http.Response{first}
	for range clients - 1 {
		all = append(all, <-responses)
	}
	if took := heap() - before; took > 6*size {
		t.Errorf("a response of %d MiB takes %d MiB for %d clients", size>>20, took>>20, clients)
	}
	for _, res := range all {
		if n, err := io.Copy(io.Discard, res.Body); n != size || err != nil {
			t.Errorf("got %d bytes, %v", n, err)
		}
		res.Body.Close()
	}
	waitForZero(t, cache)
}
