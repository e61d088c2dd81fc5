package lease

import (
	"testing"

	"github.com/seed-0226adef/memo/internal/fleet"
	"github.com/seed-0226adef/memo/internal/wire"
	"github.com/seed-0226adef/memo/store"
	"github.com/seed-0226adef/memo/store/memstore"
)

// What was asked for before an execution and answered during it may tell of an
// invalidation that came in between. It used to be taken for older than the execution,
// and the result for newer than the invalidation.
func TestAnEpochIsAsOldAsTheAnswerThatToldOfIt(t *testing.T) {
	k, generation := fleet.KeyspaceOf(memstore.New(nil), "", func() {}), store.NewToken()
	n := k.TagNeeds("g", "t")[0]
	run := &Run{Collection: fleet.NewCollection(k, "f", "1", "g", "shape"), began: 10, Epochs: map[string]fleet.Epoch{
		n.Counter: {Token: store.NewToken(), Mark: wire.Mark{Generation: generation, Count: 1}},
	}}
	for _, tt := range []struct {
		name string
		e    fleet.Epoch
		want bool
	}{
		{"answered before", fleet.Epoch{At: 5, Known: 9, Mark: wire.Mark{Generation: generation, Count: 2}}, true},
		{"asked before, answered during it", fleet.Epoch{At: 5, Known: 11, Mark: wire.Mark{Generation: generation, Count: 2}}, false},
		{"drawn at a count from before", fleet.Epoch{At: 5, Known: 11, Mark: wire.Mark{Generation: generation, Count: 1}}, true},
	} {
		if got, err := run.early(t.Context(), []fleet.Need{n}, map[string]fleet.Epoch{n.Key: tt.e}); got != tt.want || err != nil {
			t.Errorf("%s: got %v, %v, want %v", tt.name, got, err, tt.want)
		}
	}
}
