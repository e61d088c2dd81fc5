package httpcache_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0226adef/memo/httpcache"
)

// An endlessBody is one of an origin that sends 1000 bytes every millisecond until
// the request ends.
type endlessBody struct {
	ctx  context.Context
	read *atomic.Int64
}

func (b endlessBody) Read(p []byte) (int, error) {
	select {
	case <-b.ctx.Done():
		return 0, b.ctx.Err()
	case <-time.After(time.Millisecond):
	}
	n := min(len(p), 1000)
	b.read.Add(int64(n))
	return n, nil
}

func (endlessBody) Close() error { return nil }

func TestClosingTheBodyEndsTheRoundTrip(t *testing.T) {
	// What is being stored has 100 ms to come to its end.
	for control, most := range map[string]int64{"max-age=60": 100_000, "no-store": 0} {
		synctest.Test(t, func(t *testing.T) {
			var read atomic.Int64
			rt := httpcache.New(nil).Transport(roundTripper(func(r *http.Request) (*http.Response, error) {
				res := respond(r, "", "Cache-Control: "+control)
				res.Body = endlessBody{r.Context(), &read}
				return res, nil
			}))
			req, _ := http.NewRequest("GET", "http://example.com/", nil)
			res, err := rt.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.CopyN(io.Discard, res.Body, 5000); err != nil {
				t.Error(err)
			}
			before := read.Load()
			res.Body.Close()
			time.Sleep(time.Minute)
			if n := read.Load() - before; n > most {
				t.Errorf("%s: the origin has sent %d bytes for nobody, want %d at most", control, n, most)
			}
		})
	}
}

// A client whose context had ended went on reading as long as others waited for the
// same response.
func TestReadingEndsWithTheClientsOwnContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		proceed := make(chan struct{})
		rt := httpcache.New(nil).Transport(roundTripper(func(r *http.Request) (*http.Response, error) {
			res := respond(r, "", "Cache-Control: max-age=60")
			res.Body = io.NopCloser(io.MultiReader(strings.NewReader("begin "), waitingReader{proceed}, strings.NewReader("end")))
			return res, nil
		}))
		get := func(ctx context.Context) *http.Response {
			req, _ := http.NewRequestWithContext(ctx, "GET", "http://example.com/", nil)
			res, err := rt.RoundTrip(req)
			if err != nil {
				t.Error(err)
				return respond(req, "")
			}
			return res
		}
		ctx, leave := context.WithCancel(t.Context())
		first := get(ctx)
		second := make(chan string, 1)
		go func() { second <- body(t, get(t.Context())) }()
		synctest.Wait()
		read := make(chan error, 1)
		go func() {
			_, err := io.ReadAll(first.Body)
			read <- err
		}()
		synctest.Wait()
		leave()
		synctest.Wait()
		select {
		case err := <-read:
			if !errors.Is(err, context.Canceled) {
				t.Errorf("got %v, want %v", err, context.Canceled)
			}
		default:
			t.Error("the client whose context has ended reads on")
		}
		close(proceed)
		if got, want := <-second, "begin end"; got != want {
			t.Errorf("who has waited got %q, want %q", got, want)
		}
	})
}

// A waitingReader is at its end when the channel is closed.
type waitingReader struct{ closed chan struct{} }

func (r waitingReader) Read([]byte) (int, error) {
	<-r.closed
	return 0, io.EOF
}

func TestALargeBodyIsNotReadAheadOfItsReader(t *testing.T) {
	const size = 64 << 20
	var read atomic.Int64
	rt := httpcache.New(&httpcache.Options{MaxBody: 1 << 20}).Transport(roundTripper(func(r *http.Request) (*http.Response, error) {
		res := respond(r, "", "Cache-Control: max-age=60")
		res.Body = io.NopCloser(io.LimitReader(counting{&read}, size))
		return res, nil
	}))
	req, _ := http.NewRequest("GET", "http://example.com/", nil)
	res, err := rt.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	for range 10 {
		if _, err := io.CopyN(io.Discard, res.Body, 1<<20); err != nil {
			t.Fatal(err)
		}
	}
	if n := read.Load(); n > 12<<20 {
		t.Errorf("%d MiB have been read for a client that has read 10", n>>20)
	}
	if n, err := io.Copy(io.Discard, res.Body); n != size-10<<20 || err != nil {
		t.Errorf("the rest is %d bytes, %v", n, err)
	}
	res.Body.Close()
}

type counting struct{ n *atomic.Int64 }

func (c counting) Read(p []byte) (int, error) {
	c.n.Add(int64(len(p)))
	return len(p), nil
}
