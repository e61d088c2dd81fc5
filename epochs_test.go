package memo

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0226adef/memo/internal/clock"
	"github.com/seed-0226adef/memo/internal/faultstore"
	"github.com/seed-0226adef/memo/internal/wire"
	"github.com/seed-0226adef/memo/store"
	"github.com/seed-0226adef/memo/store/memstore"
)

// readers returns a function in two processes with one source.
func readers(s store.Store, opts ...Option) (source *atomic.Int64, a, b *Func[string, int64]) {
	source = new(atomic.Int64)
	read := func(context.Context, string) (int64, error) { return source.Load(), nil }
	a = New(read, Store(faultstore.New(s).Bare()), Name("f"), TTL(time.Hour), Options(opts))
	b = New(read, Store(faultstore.New(s).Bare()), Name("f"), TTL(time.Hour))
	return source, a, b
}

// The reading of an own epoch counted from when the write had returned: a Clear
// elsewhere that landed in between was seen later than within a second.
func TestReadingOfAnOwnEpochIsAsOldAsTheWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New(nil)
		here := faultstore.New(s)
		_, a, b := readers(s, Store(here.Bare()))
		a.Call(t.Context(), "w")
		here.After(faultstore.Add|faultstore.Swap, faultstore.Stall(240*time.Millisecond)) // the way back
		time.Sleep(5 * time.Second)
		go a.Clear(t.Context())
		time.Sleep(100 * time.Millisecond)
		b.Clear(t.Context())
		time.Sleep(1020 * time.Millisecond)
		key := a.core.Shared.ClearKey
		e, known := a.core.Shared.Epoch(key, clock.Now())
		value, _ := s.Get(t.Context(), key)
		if st, _ := wire.Decode(key, value); known && e.Token != st.Epoch {
			t.Error("more than a second after Clear elsewhere the epoch from before is in force")
		}
	})
}

// What a process found whose clock is behind seemed to live for longer, by as much, than
// the store kept it.
func TestClockThatIsBehindProlongsNoLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New(nil)
		source, a, b := readers(s, LocalTTL(time.Hour))
		key, _ := b.Key("x")
		b.With(TTL(10*time.Second)).Call(t.Context(), "x")
		value, _ := s.Get(t.Context(), key)
		st, err := wire.Decode(key, value)
		if err != nil {
			t.Fatal(err)
		}
		st.Created += int64(time.Hour) // as by a clock that is an hour behind
		value, _ = st.Encode(key, func(b []byte) ([]byte, error) { return append(b, st.Payload...), nil })
		s.Set(t.Context(), key, value, 10*time.Second)
		time.Sleep(9 * time.Second)
		a.Call(t.Context(), "x")
		time.Sleep(8 * time.Second)
		source.Store(1)
		if got, _ := a.Call(t.Context(), "x"); got != 1 {
			t.Errorf("got %d, seven seconds after its end in the store", got)
		}
	})
}

// A report that came while a result was being held found no copy to drop.
func TestReportWhileAResultIsHeldIsNotLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source, a, b := readers(memstore.New(nil), LocalTTL(time.Hour))
		b.Call(t.Context(), "x")
		a.settled()
		key, _ := a.Key("x")
		size, once := a.core.Types.Size, new(sync.Once)
		a.core.Types.Size = func(v any) int64 { // which hold asks
			once.Do(func() {
				source.Store(1)
				b.Invalidate(t.Context(), "x")
				a.core.Shared.Keyspace.Changed([]string{key})
			})
			return size(v)
		}
		a.Call(t.Context(), "x")
		if got, _ := a.Call(t.Context(), "x"); got != 1 {
			t.Errorf("got %d", got)
		}
	})
}

// Clear gave the tier's memory back, but not what was noted of its copies.
func TestClearGivesNotesOfCopiesBack(t *testing.T) {
	f := New(func(_ context.Context, n int) (int, error) { return n, nil }, Store(faultstore.New(memstore.New(nil)).Bare()), Name("f"))
	for i := range 100 {
		f.Call(t.Context(), i)
	}
	copies := func() (n int) {
		for i := range 100 {
			key, _ := f.Key(i)
			if f.core.Tier.Load().CopyOf(key) != nil {
				n++
			}
		}
		return n
	}
	if got := copies(); got != 100 {
		t.Errorf("%d copies are noted, want 100", got)
	}
	f.Clear(t.Context())
	if got := copies(); got != 0 {
		t.Errorf("%d copies are noted after Clear", got)
	}
}
