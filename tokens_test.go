package memo_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0226adef/memo"
	"github.com/seed-0226adef/memo/internal/faultstore"
	"github.com/seed-0226adef/memo/store/memstore"
)

// A tokenSite is one process that reads a source through functions on a store.
type tokenSite struct {
	store *faultstore.Store
	group *memo.Group
	f     *memo.Func[string, int64]
	b     *memo.Batch[string, int64]
	outer *memo.Func[string, int64] // keeps nothing in the store: it is made of what f has
}

func newTokenSite(s *memstore.Store, source *atomic.Int64) *tokenSite {
	p := &tokenSite{store: faultstore.New(s)}
	p.group = memo.NewGroup("g", memo.TTL(time.Hour), memo.LocalTTL(time.Hour), quietly)
	p.f = memo.New(func(context.Context, string) (int64, error) { return source.Load(), nil }, p.group, memo.Name("f"), memo.Tags("t"), memo.Store(p.store.Bare()))
	p.b = memo.NewBatch(func(_ context.Context, keys []string) (map[string]int64, error) {
		all := map[string]int64{}
		for _, k := range keys {
			all[k] = source.Load()
		}
		return all, nil
	}, p.group, memo.Name("b"), memo.Tags("t"), memo.Store(p.store.Bare()))
	p.outer = memo.New(p.f.Call, p.group, memo.Name("outer"))
	return p
}

// tokensOf are the ways to make a token of a change; batch says that it is one of the batch.
var tokensOf = map[string]struct {
	batch  bool
	change func(ctx context.Context, p *tokenSite, v int64) (string, error)
}{
	"Func.InvalidateToken": {false, func(ctx context.Context, p *tokenSite, _ int64) (string, error) { return p.f.InvalidateToken(ctx, "k") }},
	"Func.ExpireToken":     {false, func(ctx context.Context, p *tokenSite, _ int64) (string, error) { return p.f.ExpireToken(ctx, "k") }},
	"Func.SetToken":        {false, func(ctx context.Context, p *tokenSite, v int64) (string, error) { return p.f.SetToken(ctx, "k", v) }},
	"Func.ClearToken":      {false, func(ctx context.Context, p *tokenSite, _ int64) (string, error) { return p.f.ClearToken(ctx) }},

	"Batch.InvalidateToken": {true, func(ctx context.Context, p *tokenSite, _ int64) (string, error) { return p.b.InvalidateToken(ctx, "k") }},
	"Batch.ExpireToken":     {true, func(ctx context.Context, p *tokenSite, _ int64) (string, error) { return p.b.ExpireToken(ctx, "k") }},
	"Batch.SetToken":        {true, func(ctx context.Context, p *tokenSite, v int64) (string, error) { return p.b.SetToken(ctx, "k", v) }},
	"Batch.ClearToken":      {true, func(ctx context.Context, p *tokenSite, _ int64) (string, error) { return p.b.ClearToken(ctx) }},

	"Group.InvalidateTagsToken": {false, func(ctx context.Context, p *tokenSite, _ int64) (string, error) {
		return p.group.InvalidateTagsToken(ctx, "t")
	}},
	"Group.ExpireTagsToken": {true, func(ctx context.Context, p *tokenSite, _ int64) (string, error) {
		return p.group.ExpireTagsToken(ctx, "t")
	}},
	"Group.ClearToken":  {true, func(ctx context.Context, p *tokenSite, _ int64) (string, error) { return p.group.ClearToken(ctx) }},
	"Group.ExpireToken": {false, func(ctx context.Context, p *tokenSite, _ int64) (string, error) { return p.group.ExpireToken(ctx) }},

	"CollectToken": {false, func(ctx context.Context, p *tokenSite, _ int64) (string, error) {
		ctx, token := memo.CollectToken(ctx)
		err := p.f.Invalidate(ctx, "k")
		return token(), err
	}},
	"CollectToken of tags": {true, func(ctx context.Context, p *tokenSite, _ int64) (string, error) {
		ctx, token := memo.CollectToken(ctx)
		err := p.group.InvalidateTags(ctx, "t")
		return token(), err
	}},
}

func (p *tokenSite) call(ctx context.Context, batch bool) int64 {
	if batch {
		all, _ := p.b.Call(ctx, []string{"k"})
		return all["k"]
	}
	v, _ := p.f.Call(ctx, "k")
	return v
}

func TestUnderATokenNothingIsReturnedThatItsInvalidationHasOvertaken(t *testing.T) {
	for name, way := range tokensOf {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, source := memstore.New(nil), new(atomic.Int64)
				here, there := newTokenSite(s, source), newTokenSite(s, source)
				there.call(t.Context(), way.batch)
				here.call(t.Context(), way.batch)
				source.Store(1)
				token, err := way.change(t.Context(), there, 1)
				if err != nil || token == "" {
					t.Fatalf("the token is %q, %v", token, err)
				}
				if got := here.call(t.Context(), way.batch); got != 0 {
					t.Fatalf("without the token got %d: the copy is not used, and the test shows nothing", got)
				}
				ctx := memo.WithToken(t.Context(), token)
				time.Sleep(time.Millisecond)
				if got := here.call(ctx, way.batch); got != 1 {
					t.Errorf("with the token got %d, which was overtaken", got)
				}
				synctest.Wait() // a lease is given back
				before := here.store.Count(faultstore.All)
				if got := here.call(memo.WithToken(t.Context(), token), way.batch); got != 1 {
					t.Errorf("with the token once more got %d", got)
				}
				if n := here.store.Count(faultstore.All) - before; n != 0 {
					t.Errorf("the second call with the token took %d operations of the store, want none", n)
				}
				there.call(ctx, way.batch)
				synctest.Wait()
				before = there.store.Count(faultstore.All)
				there.call(ctx, way.batch)
				if n := there.store.Count(faultstore.All) - before; n != 0 {
					t.Errorf("the second call in the process that has changed it took %d operations", n)
				}
			})
		})
	}
}

// A result that is kept in this process alone, and was made of others', is one of theirs.
func TestTokenHoldsForWhatIsMadeOfOthersResults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, source := memstore.New(nil), new(atomic.Int64)
		here, there := newTokenSite(s, source), newTokenSite(s, source)
		here.outer.Call(t.Context(), "k")
		source.Store(1)
		token, err := there.group.InvalidateTagsToken(t.Context(), "t")
		if err != nil {
			t.Fatal(err)
		}
		if v, _ := here.outer.Call(memo.WithToken(t.Context(), token), "k"); v != 1 {
			t.Errorf("got %d, which was made of what was overtaken", v)
		}
	})
}

func TestUnderATokenNoExecutionFromBeforeIsJoined(t *testing.T) {
	for _, way := range []string{"Invalidate", "Clear"} {
		t.Run(way, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, source := memstore.New(nil), &gated{began: make(chan bool, 1), goOn: make(chan bool)}
				began := source.began
				here := memo.New(source.read, memo.Name("f"), memo.Store(faultstore.New(s).Bare()))
				there := memo.New(source.read, memo.Name("f"), memo.Store(faultstore.New(s).Bare()))
				go here.Call(t.Context(), "k")
				<-began
				source.Store(1)
				token, err := there.InvalidateToken(t.Context(), "k")
				if way == "Clear" {
					token, err = there.ClearToken(t.Context())
				}
				if err != nil {
					t.Fatal(err)
				}
				got := make(chan int64)
				go func() {
					v, _ := here.Call(memo.WithToken(t.Context(), token), "k")
					got <- v
				}()
				synctest.Wait()
				source.goOn <- true
				if v := <-got; v != 1 {
					t.Errorf("got %d, which was invalidated before the call", v)
				}
			})
		})
	}
}

func TestTokensJoin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, source := memstore.New(nil), new(atomic.Int64)
		here, there := newTokenSite(s, source), newTokenSite(s, source)
		for name, join := range map[string]func(ctx context.Context, a, b string) context.Context{
			"JoinTokens": func(ctx context.Context, a, b string) context.Context {
				return memo.WithToken(ctx, memo.JoinTokens("", a, "no token!", b))
			},
			"one in another": func(ctx context.Context, a, b string) context.Context {
				return memo.WithToken(memo.WithToken(ctx, b), a)
			},
		} {
			source.Add(1)
			here.call(t.Context(), false)
			here.call(t.Context(), true)
			v := source.Add(1)
			a, _ := there.f.InvalidateToken(t.Context(), "k")
			b, _ := there.b.InvalidateToken(t.Context(), "k")
			ctx := join(t.Context(), a, b)
			if f, b := here.call(ctx, false), here.call(ctx, true); f != v || b != v {
				t.Errorf("%s: got %d and %d, want %d", name, f, b, v)
			}
		}
		if one := memo.JoinTokens("", "abc", "abc"); one != "abc" {
			t.Errorf("a token alone became %q", one)
		}
		if none := memo.JoinTokens("", "!"); none != "" {
			t.Errorf("none became %q", none)
		}
	})
}

func TestWhatIsNoTokenIsIgnored(t *testing.T) {
	ctx := t.Context()
	for _, text := range []string{"", strings.Repeat("a", 65), "a b", "ä", "a\x00", "a;b"} {
		if memo.WithToken(ctx, text) != ctx {
			t.Errorf("%q counts as a token", text)
		}
	}
	if memo.WithToken(ctx, "-_aZ09") == ctx {
		t.Error("letters, digits, - and _ are ignored")
	}
}

func TestChangeThatReachesNoStoreGivesNoToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, source := memstore.New(nil), new(atomic.Int64)
		p := newTokenSite(s, source)
		p.call(t.Context(), false)
		heal := p.store.Before(faultstore.All, faultstore.Fail(errors.New("down")))
		ctx, collected := memo.CollectToken(t.Context())
		if token, err := p.f.InvalidateToken(ctx, "k"); token != "" || err == nil {
			t.Errorf("got the token %q, %v", token, err)
		}
		if token := collected(); token != "" {
			t.Errorf("collected the token %q", token)
		}
		heal()
		time.Sleep(5 * time.Second) // in which it is told
	})
}

func TestTokensThatWereSeenAreBounded(t *testing.T) {
	s, source := memstore.New(nil), new(atomic.Int64)
	here, there := newTokenSite(s, source), newTokenSite(s, source)
	here.call(t.Context(), false)
	source.Store(1)
	token, _ := there.f.InvalidateToken(t.Context(), "k")
	for i := range 100_000 {
		memo.WithToken(t.Context(), fmt.Sprint("stranger", i))
	}
	if got := here.call(memo.WithToken(t.Context(), token), false); got != 1 {
		t.Errorf("a token that was forgotten got %d", got)
	}
}
