package faultstore_test

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0226adef/memo/internal/faultstore"
	"github.com/seed-0226adef/memo/store"
	"github.com/seed-0226adef/memo/store/memstore"
	"github.com/seed-0226adef/memo/store/storetest"
)

var errDown = errors.New("down")

func TestWithoutFaultsItIsTheStoreBehind(t *testing.T) {
	for name, open := range map[string]func(s *faultstore.Store) store.Store{
		"plain":     func(s *faultstore.Store) store.Store { return s },
		"bare":      func(s *faultstore.Store) store.Store { return s.Bare() },
		"notifying": func(s *faultstore.Store) store.Store { return s.Notifying() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			storetest.Run(t, func(*testing.T) store.Store { return open(faultstore.New(memstore.New(nil))) })
		})
	}
}

// each calls every operation, and returns its error.
func each(ctx context.Context, s *faultstore.Store) map[faultstore.Op]error {
	_, get := s.Get(ctx, "a")
	_, notify := s.Notifying().Notify(ctx, "a", nobody{})
	return map[faultstore.Op]error{
		faultstore.Get: get, faultstore.Notify: notify, faultstore.Ping: s.Ping(ctx),
		faultstore.Set:    s.Set(ctx, "a", make([]byte, store.TokenSize), 0),
		faultstore.Add:    s.Add(ctx, "b", nil, 0),
		faultstore.Swap:   s.Swap(ctx, "a", store.Token{}, nil, 0),
		faultstore.Delete: s.Delete(ctx, "a", "b"),
	}
}

type nobody struct{}

func (nobody) Changed([]string) {}
func (nobody) Suspect()         {}
func (nobody) Up(bool)          {}

func TestFaultsAreDoneToTheirOperationsUntilTheyEnd(t *testing.T) {
	for _, ops := range []faultstore.Op{
		faultstore.Get, faultstore.Set, faultstore.Add, faultstore.Swap, faultstore.Delete, faultstore.Ping, faultstore.Notify,
		faultstore.Writes, faultstore.All,
	} {
		for name, do := range map[string]func(*faultstore.Store, faultstore.Op, faultstore.Fault) func(){
			"before": (*faultstore.Store).Before, "after": (*faultstore.Store).After,
		} {
			synctest.Test(t, func(t *testing.T) {
				s := faultstore.New(memstore.New(nil))
				end := do(s, ops, faultstore.Fail(errDown))
				for op, err := range each(t.Context(), s) {
					if want := ops&op != 0; errors.Is(err, errDown) != want {
						t.Errorf("%s %b: operation %b returned %v", name, ops, op, err)
					}
				}
				end()
				for op, err := range each(t.Context(), s) {
					if errors.Is(err, errDown) {
						t.Errorf("%s %b: when it has ended operation %b returned %v", name, ops, op, err)
					}
					if n := s.Count(op); n != 2 {
						t.Errorf("operation %b: %d of 2 calls were counted", op, n)
					}
				}
			})
		}
	}
}

func TestAnOperationThatFailsBeforeDoesNotTakePlaceAndOneThatFailsAfterDoes(t *testing.T) {
	behind := memstore.New(nil)
	s := faultstore.New(behind)
	end := s.Before(faultstore.Set, faultstore.Fail(errDown))
	s.Set(t.Context(), "k", []byte("v"), 0)
	if _, err := behind.Get(t.Context(), "k"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Get after a Set that did not take place = %v", err)
	}
	end()
	var c faultstore.Call
	s.After(faultstore.Set|faultstore.Get, func(_ context.Context, call faultstore.Call) error { c = call; return errDown })
	if err := s.Set(t.Context(), "k", []byte("v"), time.Hour); err != errDown {
		t.Errorf("Set = %v", err)
	}
	if c.Op != faultstore.Set || !slices.Equal(c.Keys, []string{"k"}) || string(c.Value) != "v" || c.TTL != time.Hour || c.Err != nil {
		t.Errorf("the fault was told of %+v", c)
	}
	if _, err := behind.Get(t.Context(), "k"); err != nil {
		t.Errorf("Get after a Set whose answer was lost = %v", err)
	}
	if s.Get(t.Context(), "none"); c.Err != store.ErrNotFound {
		t.Errorf("the fault was told that Get returned %v", c.Err)
	}
}

func TestKeysAndFirstPickCalls(t *testing.T) {
	s := faultstore.New(memstore.New(nil), faultstore.Keys("x", faultstore.First(2, faultstore.Fail(errDown))))
	var got []bool
	for _, keys := range [][]string{{"a"}, {"a", "xy"}, {"b"}, {"x"}, {"x"}} {
		got = append(got, s.Delete(t.Context(), keys...) == errDown)
	}
	if want := []bool{false, true, false, true, false}; !slices.Equal(got, want) {
		t.Errorf("failed: %v, want %v", got, want)
	}
}

func TestWhatWaits(t *testing.T) {
	for name, c := range map[string]struct {
		fault faultstore.Fault
		took  time.Duration
		err   error
	}{
		"shorter than the context": {faultstore.Delay(time.Second), time.Second, nil},
		"longer than the context":  {faultstore.Delay(time.Hour), time.Minute, context.DeadlineExceeded},
		"whatever the context":     {faultstore.Stall(time.Hour), time.Hour, context.DeadlineExceeded}, // of the store behind
		"as long as the context":   {faultstore.Hang, time.Minute, context.DeadlineExceeded},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				began := time.Now()
				err := faultstore.New(memstore.New(nil), c.fault).Delete(ctx, "k")
				if took := time.Since(began); took != c.took || !errors.Is(err, c.err) {
					t.Errorf("returned %v after %v, want %v after %v", err, took, c.err, c.took)
				}
			})
		})
	}
}

func TestGateHoldsCallsUpUntilItIsOpened(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := faultstore.NewGate()
		s := faultstore.New(memstore.New(nil), g.Wait)
		var done atomic.Int64
		for range 2 {
			go func() { s.Delete(t.Context(), "k"); done.Add(1) }()
			synctest.Wait()
		}
		if <-g.Reached(); done.Load() != 0 {
			t.Error("a call went on before the gate was opened")
		}
		g.Open()
		synctest.Wait()
		if s.Delete(t.Context(), "k"); done.Load() != 2 {
			t.Errorf("%d of 2 calls went on", done.Load())
		}
	})
}

func TestPanicsAreTheCallers(t *testing.T) {
	defer func() {
		if got := recover(); got != "no client" {
			t.Errorf("recovered %v", got)
		}
	}()
	faultstore.New(memstore.New(nil), faultstore.Panic("no client")).Get(t.Context(), "k")
}

func TestReadAsAndWriteAsReplaceValues(t *testing.T) {
	behind := memstore.New(nil)
	s := faultstore.New(behind)
	s.WriteAs(func(key string, value []byte) []byte { return append([]byte(key), value...) })
	s.Set(t.Context(), "k", []byte("v"), 0)
	if got, _ := behind.Get(t.Context(), "k"); string(got) != "kv" {
		t.Errorf("written: %q", got)
	}
	s.ReadAs(func(key string, value []byte) []byte {
		if key == "k" {
			return nil
		}
		return append([]byte(key), value...)
	})
	if got, err := s.Get(t.Context(), "k"); err != store.ErrNotFound {
		t.Errorf("Get = %q, %v", got, err)
	}
	if got, err := s.Get(t.Context(), "none"); string(got) != "none" || err != nil {
		t.Errorf("Get = %q, %v", got, err)
	}
	if got, err := s.GetMulti(t.Context(), []string{"k", "none"}); len(got) != 1 || string(got["none"]) != "none" || err != nil {
		t.Errorf("GetMulti = %q, %v", got, err)
	}
}

func TestLogNotesKeys(t *testing.T) {
	var written faultstore.Log
	s := faultstore.New(memstore.New(nil))
	s.Before(faultstore.Writes, written.Note)
	s.Set(t.Context(), "a", nil, 0)
	s.Get(t.Context(), "b")
	s.Delete(t.Context(), "c", "d")
	if got, want := written.Keys(), []string{"a", "c", "d"}; !slices.Equal(got, want) {
		t.Errorf("noted %q, want %q", got, want)
	}
}
