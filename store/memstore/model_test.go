package memstore_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/seed-0226adef/memo/store"
	"github.com/seed-0226adef/memo/store/memstore"
)

// A model is the store written without regard to speed: a list from the most to
// the least recently used, gone through for everything.
type model struct {
	maxEntries, maxBytes int
	held                 []modelEntry
}

type modelEntry struct {
	key, value string
	expires    time.Time
}

func (e modelEntry) expired() bool { return !e.expires.IsZero() && !time.Now().Before(e.expires) }

// take removes the entry under key and returns it if it has not expired.
func (m *model) take(key string) (modelEntry, bool) {
	for i, e := range m.held {
		if e.key == key {
			m.held = append(m.held[:i:i], m.held[i+1:]...)
			return e, !e.expired()
		}
	}
	return modelEntry{}, false
}

func (m *model) use(key string) (modelEntry, bool) {
	e, ok := m.take(key)
	if ok {
		m.held = append([]modelEntry{e}, m.held...)
	}
	return e, ok
}

func (m *model) get(key string) (string, error) {
	e, ok := m.use(key)
	if !ok {
		return "", store.ErrNotFound
	}
	return e.value, nil
}

func (m *model) set(key, value string, ttl time.Duration) error {
	if ttl < 0 {
		return store.ErrRefused
	}
	m.take(key)
	if len(key)+len(value) > m.maxBytes {
		return store.ErrRefused
	}
	m.held = append([]modelEntry{{key, value, either(ttl > 0, time.Now().Add(ttl), time.Time{})}}, m.held...)
	for len(m.held) > m.maxEntries || m.bytes() > m.maxBytes {
		m.evict()
	}
	return nil
}

func (m *model) add(key, value string, ttl time.Duration) error {
	if ttl < 0 {
		return store.ErrRefused
	}
	if _, ok := m.use(key); ok {
		return store.ErrExists
	}
	return m.set(key, value, ttl)
}

func (m *model) swap(key string, old store.Token, value string, ttl time.Duration) error {
	if ttl < 0 {
		return store.ErrRefused
	}
	e, ok := m.use(key)
	if !ok || len(e.value) < store.TokenSize || e.value[:store.TokenSize] != string(old[:]) {
		return store.ErrConflict
	}
	return m.set(key, value, ttl)
}

func (m *model) bytes() (n int) {
	for _, e := range m.held {
		n += len(e.key) + len(e.value)
	}
	return n
}

// evict removes the last that has expired, or else the last. The model never holds
// more than the few entries that the store looks at, and the first is the one just
// written.
func (m *model) evict() {
	for i := len(m.held) - 1; i > 0; i-- {
		if m.held[i].expired() {
			m.held = append(m.held[:i:i], m.held[i+1:]...)
			return
		}
	}
	m.held = m.held[:len(m.held)-1]
}

func TestStoreBehavesAsTheModel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// rapid asks a *testing.T for its deadline, which has none in a bubble. It
		// then stops after a day, here of fake time, which the waits must not add up to.
		rapid.Check(struct{ testing.TB }{t}, func(t *rapid.T) {
			ctx := t.Context()
			m := &model{
				maxEntries: rapid.IntRange(1, 6).Draw(t, "MaxEntries"),
				maxBytes:   rapid.IntRange(1, 120).Draw(t, "MaxBytes"),
			}
			s := memstore.New(&memstore.Options{MaxEntries: m.maxEntries, MaxBytes: int64(m.maxBytes)})

			keys := rapid.SampledFrom([]string{"", "a", "b", "c", "d", "e", "long-key"})
			ttls := rapid.SampledFrom([]time.Duration{0, 0, 1, time.Second, 2 * time.Second, time.Minute, -1})
			tokens := rapid.SampledFrom([]store.Token{{}, {1}, {15: 1}})
			values := rapid.Custom(func(t *rapid.T) string {
				token := tokens.Draw(t, "token")
				return (string(token[:]) + "and some payload")[:rapid.IntRange(0, 32).Draw(t, "length")]
			})
			same := func(op string, got, want error) {
				if !errors.Is(got, want) || want == nil && got != nil {
					t.Fatalf("%s = %v, want %v", op, got, want)
				}
			}

			t.Repeat(map[string]func(*rapid.T){
				"": func(t *rapid.T) {
					if got, want := s.Len(), len(m.held); got != want {
						t.Fatalf("Len = %d, want %d", got, want)
					}
				},
				"Get": func(t *rapid.T) {
					key := keys.Draw(t, "key")
					got, err := s.Get(ctx, key)
					want, wantErr := m.get(key)
					same("Get", err, wantErr)
					if string(got) != want {
						t.Fatalf("Get = %q, want %q", got, want)
					}
				},
				"GetMulti": func(t *rapid.T) {
					asked := rapid.SliceOf(keys).Draw(t, "keys")
					want := map[string][]byte{}
					for _, key := range asked {
						if value, err := m.get(key); err == nil {
							want[key] = append([]byte{}, value...)
						}
					}
					got, err := s.GetMulti(ctx, asked)
					same("GetMulti", err, nil)
					if diff := cmp.Diff(want, got); diff != "" {
						t.Fatalf("GetMulti (-want +got):\n%s", diff)
					}
				},
				"Set": func(t *rapid.T) {
					key, value, ttl := keys.Draw(t, "key"), values.Draw(t, "value"), ttls.Draw(t, "ttl")
					same("Set", s.Set(ctx, key, []byte(value), ttl), m.set(key, value, ttl))
				},
				"Add": func(t *rapid.T) {
					key, value, ttl := keys.Draw(t, "key"), values.Draw(t, "value"), ttls.Draw(t, "ttl")
					same("Add", s.Add(ctx, key, []byte(value), ttl), m.add(key, value, ttl))
				},
				"Swap": func(t *rapid.T) {
					key, old := keys.Draw(t, "key"), tokens.Draw(t, "old")
					value, ttl := values.Draw(t, "value"), ttls.Draw(t, "ttl")
					same("Swap", s.Swap(ctx, key, old, []byte(value), ttl), m.swap(key, old, value, ttl))
				},
				"Delete": func(t *rapid.T) {
					gone := rapid.SliceOfN(keys, 0, 2).Draw(t, "keys")
					same("Delete", s.Delete(ctx, gone...), nil)
					for _, key := range gone {
						m.take(key)
					}
				},
				"wait": func(t *rapid.T) {
					time.Sleep(rapid.SampledFrom([]time.Duration{1, time.Second - 1, time.Second, time.Minute}).Draw(t, "for"))
				},
			})
		})
	})
}

func either[T any](cond bool, yes, no T) T {
	if cond {
		return yes
	}
	return no
}
