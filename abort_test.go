package memo_test

import (
	"bytes"
	"context"
	"errors"
	"log"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/seed-0226adef/memo"
)

// net/http compares what a handler panics with by ==, and logged a stack trace for
// every response that was broken off on purpose.
func TestAbortOfAHandlerReachesTheServerAsItIs(t *testing.T) {
	page := memo.New(func(_ context.Context, path string) (string, error) { panic(http.ErrAbortHandler) })
	batch := memo.NewBatch(func(context.Context, []string) (map[string]string, error) { panic(http.ErrAbortHandler) })
	for name, handler := range map[string]http.HandlerFunc{
		"Func":    func(w http.ResponseWriter, r *http.Request) { page.Call(r.Context(), r.URL.Path) },
		"Refresh": func(w http.ResponseWriter, r *http.Request) { page.Refresh(r.Context(), r.URL.Path) },
		"Batch":   func(w http.ResponseWriter, r *http.Request) { batch.Call(r.Context(), []string{r.URL.Path}) },
		"nested": memo1(func(ctx context.Context, path string) (string, error) {
			return page.Call(ctx, path)
		}),
	} {
		t.Run(name, func(t *testing.T) {
			var said bytes.Buffer
			s := httptest.NewUnstartedServer(handler)
			s.Config.ErrorLog = log.New(&said, "", 0)
			s.Start()
			if _, err := s.Client().Get(s.URL); err == nil {
				t.Error("the client got a response")
			}
			s.Close()
			if said.Len() > 0 {
				t.Errorf("the server logged %q", &said)
			}
		})
	}
}

func memo1(fn func(context.Context, string) (string, error)) http.HandlerFunc {
	f := memo.Wrap(fn)
	return func(_ http.ResponseWriter, r *http.Request) { f(r.Context(), r.URL.Path) }
}

// Any other value is a PanicError, an error that looks alike too.
func TestOtherPanicsAreNoAborts(t *testing.T) {
	for _, v := range []any{errors.New("broken"), context.Canceled, "net/http: abort Handler", alike{}} {
		var got any
		func() {
			defer func() { got = recover() }()
			memo.Wrap(func(context.Context, int) (int, error) { panic(v) })(t.Context(), 1)
		}()
		if p, ok := got.(*memo.PanicError); !ok || p.Value != v {
			t.Errorf("got %v, want a PanicError of %v", got, v)
		}
	}
}

type alike struct{}

func (alike) Error() string { return "net/http: abort Handler" }
