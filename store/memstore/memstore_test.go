package memstore_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/seed-0226adef/memo/store"
	"github.com/seed-0226adef/memo/store/memstore"
	"github.com/seed-0226adef/memo/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newStore(*testing.T) store.Store { return memstore.New(nil) }

func TestStoreKeepsTheContract(t *testing.T) {
	storetest.Run(t, newStore)
}

func TestStoreKeepsTheContractToTheNanosecondInABubble(t *testing.T) {
	storetest.Run(t, newStore, storetest.InBubble())
}

func TestFullStoreEvictsWhatWasNotUsedForTheLongestTime(t *testing.T) {
	for _, test := range []struct {
		name string
		use  func(s *memstore.Store, key string) error
	}{
		{"Get", func(s *memstore.Store, key string) error { _, err := s.Get(t.Context(), key); return err }},
		{"GetMulti", func(s *memstore.Store, key string) error {
			_, err := s.GetMulti(t.Context(), []string{key})
			return err
		}},
		{"Set", func(s *memstore.Store, key string) error { return s.Set(t.Context(), key, value(20), 0) }},
		{"Swap", func(s *memstore.Store, key string) error {
			return s.Swap(t.Context(), key, store.Token{}, value(20), 0)
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := memstore.New(&memstore.Options{MaxEntries: 3})
			set(t, s, "a", value(20), 0)
			set(t, s, "b", value(20), 0)
			set(t, s, "c", value(20), 0)
			if err := test.use(s, "a"); err != nil {
				t.Fatal(err)
			}
			set(t, s, "d", value(20), 0)
			wantHeld(t, s, []string{"a", "c", "d"}, "a", "b", "c", "d")
		})
	}
}

func TestReplacingAnEntryOfAFullStoreEvictsNothing(t *testing.T) {
	s := memstore.New(&memstore.Options{MaxEntries: 2, MaxBytes: 42})
	set(t, s, "a", value(20), 0)
	set(t, s, "b", value(20), 0)
	set(t, s, "a", value(20), 0)
	wantHeld(t, s, []string{"a", "b"}, "a", "b")
}

func TestMaxBytesCountsKeysAndValues(t *testing.T) {
	s := memstore.New(&memstore.Options{MaxBytes: 100})
	set(t, s, "a", value(49), 0)
	set(t, s, "b", value(49), 0)
	wantHeld(t, s, []string{"a", "b"}, "a", "b")
	set(t, s, "c", value(0), 0)
	wantHeld(t, s, []string{"b", "c"}, "a", "b", "c")

	set(t, s, "d", value(99), 0) // one that pushes out all others
	wantHeld(t, s, []string{"d"}, "a", "b", "c", "d")
}

func TestDeletedAndReplacedBytesAreFreeAgain(t *testing.T) {
	s := memstore.New(&memstore.Options{MaxBytes: 100})
	for i := range 50 {
		set(t, s, "kept", value(30), 0)
		set(t, s, "replaced", value(10+i%20), 0)
		set(t, s, "deleted", value(20), 0)
		if err := s.Delete(t.Context(), "deleted"); err != nil {
			t.Fatal(err)
		}
	}
	set(t, s, "x", value(20), 0)
	wantHeld(t, s, []string{"kept", "replaced", "x"}, "kept", "replaced", "x")
}

func TestValueAboveMaxBytesIsRefusedAndTheOldOneRemoved(t *testing.T) {
	for _, test := range []struct {
		name  string
		write func(s *memstore.Store, v []byte) error
	}{
		{"Set", func(s *memstore.Store, v []byte) error { return s.Set(t.Context(), "k", v, 0) }},
		{"Swap", func(s *memstore.Store, v []byte) error { return s.Swap(t.Context(), "k", store.Token{}, v, 0) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := memstore.New(&memstore.Options{MaxBytes: 100})
			set(t, s, "other", value(20), 0)
			set(t, s, "k", value(20), 0)
			var sink recorder
			if _, err := s.Notify(t.Context(), "", &sink); err != nil {
				t.Fatal(err)
			}

			err := test.write(s, value(100))
			if !errors.Is(err, store.ErrRefused) {
				t.Fatalf("error = %v, want one wrapping ErrRefused", err)
			}
			for _, want := range []string{"101 bytes", "100", "MaxBytes"} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q does not say %q", err, want)
				}
			}
			wantHeld(t, s, []string{"other"}, "other", "k")
			if diff := cmp.Diff([]string{"up", "changed k"}, sink.events()); diff != "" {
				t.Errorf("the sink was told (-want +got):\n%s", diff)
			}
		})
	}
}

func TestConflictIsReportedBeforeSize(t *testing.T) {
	s := memstore.New(&memstore.Options{MaxBytes: 100})
	set(t, s, "k", value(20), 0)
	if err := s.Add(t.Context(), "k", value(200), 0); !errors.Is(err, store.ErrExists) {
		t.Errorf("Add = %v, want ErrExists", err)
	}
	if err := s.Swap(t.Context(), "k", store.Token{1}, value(200), 0); !errors.Is(err, store.ErrConflict) {
		t.Errorf("Swap = %v, want ErrConflict", err)
	}
	wantHeld(t, s, []string{"k"}, "k")
}

func TestExpiredEntriesMakeRoomBeforeLiveOnes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New(&memstore.Options{MaxEntries: 4})
		set(t, s, "oldest", value(20), 0)
		set(t, s, "expires-1", value(20), time.Minute)
		set(t, s, "live", value(20), time.Hour)
		set(t, s, "expires-2", value(20), time.Minute)
		time.Sleep(time.Minute)
		set(t, s, "new-1", value(20), 0)
		set(t, s, "new-2", value(20), 0)
		wantHeld(t, s, []string{"oldest", "live", "new-1", "new-2"}, "oldest", "expires-1", "live", "expires-2", "new-1", "new-2")
	})
}

func TestExpiredEntryIsDroppedWhenAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New(nil)
		set(t, s, "k", value(20), time.Minute)
		time.Sleep(time.Minute)
		if got := s.Len(); got != 1 {
			t.Errorf("Len = %d before anybody asks, want 1", got)
		}
		if _, err := s.Get(t.Context(), "k"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("Get = %v, want ErrNotFound", err)
		}
		if got := s.Len(); got != 0 {
			t.Errorf("Len = %d after a Get, want 0", got)
		}
	})
}

func TestZeroOptionsMeanTheDefaults(t *testing.T) {
	for name, o := range map[string]*memstore.Options{"nil": nil, "zero": {}} {
		t.Run(name, func(t *testing.T) {
			s := memstore.New(o)
			for i := range memstore.DefaultMaxEntries + 10 {
				set(t, s, fmt.Sprint(i), nil, 0)
			}
			if got, want := s.Len(), memstore.DefaultMaxEntries; got != want {
				t.Errorf("Len = %d, want %d", got, want)
			}
			set(t, s, "k", value(memstore.DefaultMaxBytes-1), 0)
			if got := s.Len(); got != 1 {
				t.Errorf("Len = %d beside a value that fills the store, want 1", got)
			}
			if err := s.Set(t.Context(), "k", value(memstore.DefaultMaxBytes), 0); !errors.Is(err, store.ErrRefused) {
				t.Errorf("Set of DefaultMaxBytes and a key = %v, want an error wrapping ErrRefused", err)
			}
		})
	}
}

func TestNegativeLimitsPanicWithASentence(t *testing.T) {
	for _, test := range []struct {
		options memstore.Options
		want    string
	}{
		{memstore.Options{MaxEntries: -1}, "memo: memstore: Options.MaxEntries is -1; give a positive number, or 0 for 100000"},
		{memstore.Options{MaxBytes: math.MinInt64}, "memo: memstore: Options.MaxBytes is -9223372036854775808; give a positive number, or 0 for 67108864"},
	} {
		t.Run(test.want, func(t *testing.T) {
			defer func() {
				if got := recover(); got != test.want {
					t.Errorf("New panicked with %v, want %q", got, test.want)
				}
			}()
			memstore.New(&test.options)
		})
	}
}

func TestChangesAreReportedBeforeTheMethodReturns(t *testing.T) {
	s := memstore.New(nil)
	var all, users recorder
	stopAll, err := s.Notify(t.Context(), "", &all)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Notify(t.Context(), "users:", &users); err != nil {
		t.Fatal(err)
	}

	set(t, s, "users:1", value(20), 0)
	set(t, s, "pages:1", value(20), 0)
	s.Add(t.Context(), "users:1", value(20), 0)                  // ErrExists
	s.Swap(t.Context(), "users:1", store.Token{1}, value(20), 0) // ErrConflict
	s.Swap(t.Context(), "users:1", store.Token{}, value(20), 0)
	s.Delete(t.Context(), "pages:1", "users:1", "users:2")
	stopAll()
	s.Add(t.Context(), "users:1", value(20), 0)

	want := []string{"up", "changed users:1", "changed pages:1", "changed users:1", "changed pages:1 users:1 users:2"}
	if diff := cmp.Diff(want, all.events()); diff != "" {
		t.Errorf("the sink of all keys was told (-want +got):\n%s", diff)
	}
	want = []string{"up", "changed users:1", "changed users:1", "changed users:1 users:2", "changed users:1"}
	if diff := cmp.Diff(want, users.events()); diff != "" {
		t.Errorf("the sink of users: was told (-want +got):\n%s", diff)
	}
}

// A report is made outside the lock, so that a slow sink holds up nobody else.
func TestSinkThatBlocksHoldsUpOnlyItsWriter(t *testing.T) {
	for _, test := range []struct {
		name  string
		write func(s *memstore.Store) error
	}{
		{"Set", func(s *memstore.Store) error { return s.Set(t.Context(), "slow", value(20), 0) }},
		{"Delete", func(s *memstore.Store) error { return s.Delete(t.Context(), "slow") }},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := memstore.New(nil)
			sink := blocking{entered: make(chan struct{}), release: make(chan struct{})}
			if _, err := s.Notify(t.Context(), "slow", sink); err != nil {
				t.Fatal(err)
			}
			var wg sync.WaitGroup
			defer wg.Wait()
			defer close(sink.release)
			wg.Go(func() {
				if err := test.write(s); err != nil {
					t.Error(err)
				}
			})
			<-sink.entered

			others := make(chan error)
			wg.Go(func() { others <- s.Set(context.Background(), "quick", value(20), 0) })
			select {
			case err := <-others:
				if err != nil {
					t.Error(err)
				}
			case <-time.After(10 * time.Second):
				go func() { <-others }()
				t.Error("a Set of another key waits for the sink")
			}
		})
	}
}

func TestStoppingOneSinkDuringAReportLeavesOutNoOther(t *testing.T) {
	s := memstore.New(nil)
	first := blocking{entered: make(chan struct{}), release: make(chan struct{})}
	stop, err := s.Notify(t.Context(), "", first)
	if err != nil {
		t.Fatal(err)
	}
	var second recorder
	if _, err := s.Notify(t.Context(), "", &second); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := s.Set(t.Context(), "k", value(20), 0); err != nil {
			t.Error(err)
		}
	})
	<-first.entered
	stop()
	close(first.release)
	wg.Wait()
	if diff := cmp.Diff([]string{"up", "changed k"}, second.events()); diff != "" {
		t.Errorf("the other sink was told (-want +got):\n%s", diff)
	}
}

func TestGetAllocatesNothingButTheCopy(t *testing.T) {
	s := memstore.New(nil)
	set(t, s, "k", value(100), time.Hour)
	ctx := t.Context()
	if got := testing.AllocsPerRun(100, func() { s.Get(ctx, "k") }); got > 1 {
		t.Errorf("Get of a present key allocates %v times, want at most 1", got)
	}
	if got := testing.AllocsPerRun(100, func() { s.Get(ctx, "absent") }); got > 0 {
		t.Errorf("Get of an absent key allocates %v times, want 0", got)
	}
}

// value returns n zeros, which begin with the zero token if there are enough.
func value(n int) []byte { return make([]byte, n) }

func set(t *testing.T, s *memstore.Store, key string, value []byte, ttl time.Duration) {
	t.Helper()
	if err := s.Set(t.Context(), key, value, ttl); err != nil {
		t.Fatalf("Set(%q) = %v, want nil", key, err)
	}
}

// wantHeld checks which of keys have a value.
func wantHeld(t *testing.T, s *memstore.Store, want []string, keys ...string) {
	t.Helper()
	found, err := s.GetMulti(t.Context(), keys)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, key := range keys {
		if _, ok := found[key]; ok {
			got = append(got, key)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("keys held (-want +got):\n%s", diff)
	}
}

// A recorder is a sink that remembers what it was told.
type recorder struct {
	mu   sync.Mutex
	told []string
}

func (r *recorder) add(event string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.told = append(r.told, event)
}

func (r *recorder) events() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.told
}

func (r *recorder) Changed(keys []string) { r.add("changed " + strings.Join(keys, " ")) }
func (r *recorder) Suspect()              { r.add("suspect") }
func (r *recorder) Up(up bool) {
	if up {
		r.add("up")
	} else {
		r.add("down")
	}
}

// blocking is a sink that does not return from Changed until it is released.
type blocking struct{ entered, release chan struct{} }

func (b blocking) Changed([]string) {
	b.entered <- struct{}{}
	<-b.release
}
func (b blocking) Suspect() {}
func (b blocking) Up(bool)  {}
