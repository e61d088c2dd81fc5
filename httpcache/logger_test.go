package httpcache_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0226adef/memo"
	"github.com/seed-0226adef/memo/httpcache"
)

// newLog returns a logger, and what it has written.
func newLog() (*slog.Logger, *bytes.Buffer) {
	var written bytes.Buffer
	return slog.New(slog.NewTextHandler(&written, nil)), &written
}

// The cache wrote to slog.Default, whatever the options said.
func TestTheLoggerOfTheOptionsIsUsed(t *testing.T) {
	t.Cleanup(func() { memo.SetDefault() })
	ways := map[string]func(*slog.Logger) []memo.Option{
		"an option": func(l *slog.Logger) []memo.Option { return []memo.Option{memo.Logger(l)} },
		"a group":   func(l *slog.Logger) []memo.Option { return []memo.Option{memo.NewGroup("site", memo.Logger(l))} },
		"an option after a group": func(l *slog.Logger) []memo.Option {
			other, _ := newLog()
			return []memo.Option{memo.NewGroup("site", memo.Logger(other)), memo.Logger(l)}
		},
		"the default": func(l *slog.Logger) []memo.Option { memo.SetDefault(memo.Logger(l)); return nil },
	}
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				logger, written := newLog()
				s := &site{cache: httpcache.New(nil, way(logger)...)}
				s.Handler = s.cache.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if s.runs.Add(1) > 1 {
						panic("broken")
					}
					saying("Cache-Control: max-age=1, stale-while-revalidate=60")(w, r)
				}))
				s.get("/")
				time.Sleep(2 * time.Second)
				s.get("/")
				synctest.Wait()
				s.wantRuns(t, 2)
				if got, want := written.String(), "a handler panicked in the background"; strings.Count(got, want) != 1 || !strings.Contains(got, "panic=broken") {
					t.Errorf("the logger got %q, want %q once", got, want)
				}
			})
		})
	}
}

// Nobody heard of it when what a HEAD disagrees with could not be dropped for
// everybody.
func TestWhatCouldNotBeDroppedIsLogged(t *testing.T) {
	for method, want := range map[string]string{
		"HEAD": "a response that a HEAD disagrees with could not be dropped",
		"POST": "what a request has changed could not be dropped",
	} {
		logger, written := newLog()
		s := &site{cache: httpcache.New(nil, memo.Store(down()), memo.Name("pages"), memo.Logger(logger))}
		s.Handler = s.cache.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "max-age=60")
			w.Header().Set("Etag", `"`+r.Method+`"`)
			io.WriteString(w, "hello")
		}))
		s.get("/")
		s.do(method, "/", "Cache-Control: no-cache")
		if got := written.String(); strings.Count(got, want) != 1 || !strings.Contains(got, "has not reached the store") {
			t.Errorf("%s: the logger got %q, want %q once", method, got, want)
		}
	}
}

// What a HEAD would have updated, and a purge has dropped meanwhile, is no trouble.
func TestAHeadThatComesTooLateIsNotLogged(t *testing.T) {
	logger, written := newLog()
	s := &site{cache: httpcache.New(nil, memo.Logger(logger))}
	s.Handler = s.cache.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "HEAD" {
			s.cache.Purge(context.Background(), "http://example.com/")
		}
		saying("Cache-Control: max-age=60", `Etag: "a"`)(w, r)
	}))
	s.get("/")
	s.do("HEAD", "/", "Cache-Control: no-cache")
	if got := written.String(); got != "" {
		t.Errorf("the logger got %q", got)
	}
}
