package memo_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0226adef/memo"
	"github.com/seed-0226adef/memo/internal/faultstore"
	"github.com/seed-0226adef/memo/store/memstore"
)

// A split store has what a function named f holds and depends on on one server, and everything
// else on another.
type split struct{ *faultstore.Store }

func (split) Shard(key string) string {
	if strings.Contains(key, ":f:") {
		return "f"
	}
	return "others"
}

// An invalidation that waited for a server to come back held up those that others had failed to
// take for a moment.
func TestAServerThatIsDownHoldsUpNoOthersInvalidations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New(nil)
		p := split{faultstore.New(s)}
		f := memo.New(square, memo.Store(p), memo.Name("f"), quietly)
		g := memo.New(square, memo.Store(p), memo.Name("g"), quietly)
		h := memo.New(square, memo.Store(p), memo.Name("h"), quietly)
		there := memo.New(square, memo.Store(faultstore.New(s)), memo.Name("g"), quietly)
		for _, called := range []*memo.Func[int, int]{f, g, h} {
			called.Call(t.Context(), 1)
		}
		p.Before(faultstore.All, faultstore.Keys(":f:", faultstore.Fail(errors.New("down"))))
		mend := p.Before(faultstore.All, faultstore.Fail(errors.New("down for a moment")))
		for what, err := range map[string]error{
			"f.Invalidate": f.Invalidate(t.Context(), 1),
			"f.Clear":      f.Clear(t.Context()),
			"g.Clear":      g.Clear(t.Context()),
			"h.Invalidate": h.Invalidate(t.Context(), 1),
		} {
			if err == nil {
				t.Errorf("%s did not say that it could not reach the store", what)
			}
		}
		mend()
		time.Sleep(10 * time.Second)
		if there.Call(t.Context(), 1); there.Stats().Executions != 1 {
			t.Error("the Clear of g has not reached the store")
		}
		key, _ := h.Key(1)
		if _, err := s.Get(t.Context(), key); err == nil {
			t.Error("the Invalidate of h has not reached the store")
		}
		key, _ = f.Key(1)
		if _, err := s.Get(t.Context(), key); err != nil {
			t.Errorf("what lies on the server that is down: Get = %v; the test does not test what it says", err)
		}
	})
}
