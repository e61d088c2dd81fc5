package memo

import (
	"context"
	"testing"

	"github.com/seed-0226adef/memo/internal/engine"
	"github.com/seed-0226adef/memo/internal/fleet"
	"github.com/seed-0226adef/memo/internal/wire"
	"github.com/seed-0226adef/memo/store"
	"github.com/seed-0226adef/memo/store/memstore"
)

// A reading that was asked for before an execution and answered during it may tell of
// an invalidation that came in between. It used to be taken for older than the
// execution, and the result for newer than the invalidation.
func TestAnEpochIsAsOldAsTheAnswerThatToldOfIt(t *testing.T) {
	f := New(func(context.Context, int) (int, error) { return 0, nil }, NewGroup("g"), Store(memstore.New(nil)), Name("f"))
	f.settle()
	s, generation := f.core.Shared, store.NewToken()
	n := s.TagNeeds("g", "t")[0]
	fl := &engine.Flight{Policy: f.core.Base, Began: 10, Epochs: map[string]fleet.Epoch{
		n.Counter: {Token: store.NewToken(), Mark: wire.Mark{Generation: generation, Count: 1}},
	}}
	for _, tt := range []struct {
		name string
		r    fleet.Epoch
		want bool
	}{
		{"answered before", fleet.Epoch{At: 5, Known: 9, Mark: wire.Mark{Generation: generation, Count: 2}}, true},
		{"asked before, answered during it", fleet.Epoch{At: 5, Known: 11, Mark: wire.Mark{Generation: generation, Count: 2}}, false},
		{"drawn at a turn from before", fleet.Epoch{At: 5, Known: 11, Mark: wire.Mark{Generation: generation, Count: 1}}, true},
	} {
		if got, err := s.Early(t.Context(), fl, []fleet.Need{n}, map[string]fleet.Epoch{n.Key: tt.r}); got != tt.want || err != nil {
			t.Errorf("%s: got %v, %v, want %v", tt.name, got, err, tt.want)
		}
	}
}
