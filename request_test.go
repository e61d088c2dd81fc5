package memo_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/seed-0226adef/memo"
	"github.com/seed-0226adef/memo/internal/function"
	"github.com/seed-0226adef/memo/store/memstore"
)

// A detachedContext is what gin.Context is: a context without its request's values.
type detachedContext struct {
	context.Context
	Request *http.Request
}

func (c *detachedContext) Value(key any) any {
	if key == "_gin-gonic/gin/contextkey" {
		return c
	}
	return nil
}

// What a handler said with gin's context was lost in silence.
func TestExecutionIsFoundThroughTheRequestOfAContext(t *testing.T) {
	group := memo.NewGroup("request-frames")
	tagged := memo.New(func(context.Context, int) (int, error) { return 1, nil }, group, memo.Tags("inner"))
	f := memo.New(func(ctx context.Context, a int) (int, error) {
		r, _ := http.NewRequestWithContext(ctx, "GET", "/", nil)
		c := context.WithValue(&detachedContext{context.Background(), r}, userKey{}, 1)
		memo.AddTags(c, "own")
		return tagged.Call(c, a)
	}, group)
	f.Call(t.Context(), 1)
	if e, err := f.Peek(t.Context(), 1); err != nil || len(e.Tags) != 2 {
		t.Errorf("tags %q, %v; want two", e.Tags, err)
	}
}

func TestHintThatReachesNoExecutionIsLoggedOncePerPlace(t *testing.T) {
	function.Forget()
	var log bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))
	defer slog.SetDefault(before)
	fn := func(context.Context, int) (int, error) {
		for range 3 {
			memo.AddTags(context.Background(), "lost")
			memo.SetTTL(context.Background(), 0)
		}
		return 1, nil
	}
	fn(t.Context(), 1)
	if log.Len() > 0 {
		t.Errorf("without an execution under way: %s", &log)
	}
	memo.New(fn).Call(t.Context(), 1)
	if n := strings.Count(log.String(), "request_test.go"); n != 2 {
		t.Errorf("logged %d times, want once for each of the two places:\n%s", n, &log)
	}
}

func TestTagsWithoutAGroupAreLoggedOnce(t *testing.T) {
	adds := func(ctx context.Context, a int) (int, error) { memo.AddTags(ctx, "t"); return a, nil }
	plain := func(_ context.Context, a int) (int, error) { return a, nil }
	inner := memo.New(plain, memo.NewGroup("tags-logged-inner"), memo.Tags("inner"))
	for name, c := range map[string]struct {
		fn   func(context.Context, int) (int, error)
		opts memo.Options
		want int
	}{
		"Tags":                      {plain, memo.Options{memo.Tags("t")}, 1},
		"AddTags":                   {adds, nil, 1},
		"AddTags of a shared store": {adds, memo.Options{memo.Store(memstore.New(nil)), memo.Name("f")}, 1},
		"both":                      {adds, memo.Options{memo.Tags("t")}, 1},
		"in a group":                {adds, memo.Options{memo.Tags("t"), memo.NewGroup("tags-logged")}, 0},
		"tags of inner results":     {inner.Call, nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			f := memo.New(c.fn, c.opts, memo.Logger(slog.New(slog.NewTextHandler(&log, nil))))
			for a := range 3 {
				f.Call(t.Context(), a)
			}
			if n := strings.Count(log.String(), "no group"); n != c.want {
				t.Errorf("logged %d times, want %d:\n%s", n, c.want, &log)
			}
		})
	}
}
