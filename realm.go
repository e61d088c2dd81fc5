package memo

import (
	"reflect"
	"runtime"
	"strings"
	"sync"
	"weak"

	"github.com/seed-0226adef/memo/internal/keys"
	"github.com/seed-0226adef/memo/internal/storeclient"
	"github.com/seed-0226adef/memo/store"
)

// A realm is what the functions with one prefix on one store have in common:
// their epochs, what the store still has to be told, and its notifications.
type realm struct {
	*storeclient.Client
	prefix string // of the shared keys, colon included

	mu       sync.Mutex
	readings map[string]reading              // guarded by mu; epochs and turns, by key
	order    uint64                          // guarded by mu; counts what changes epochs, as far as it is known
	floor    uint64                          // guarded by mu; of the last change that may concern all
	renewing bool                            // guarded by mu; a goroutine reads the epochs in use anew
	debts    map[string]debt                 // guarded by mu; what the store could not be told yet, by key
	lastDebt uint64                          // guarded by mu; the id of the newest debt
	retrying bool                            // guarded by mu; a timer or a goroutine is at the debts
	waiters  map[string][]chan struct{}      // guarded by mu; who waits for a report of a key
	writers  map[string]chan struct{}        // guarded by mu; who writes an epoch, by its key; see writeAlone
	cores    map[weak.Pointer[core]]struct{} // guarded by mu; the functions, as far as they were used

	behind, behindUntil int64 // guarded by mu; see noteSkew

	notices notices
}

// realms are those in use, for as long as a function uses them.
var realms = struct {
	sync.Mutex
	by       map[realmKey]weak.Pointer[realm]
	backends map[any]weak.Pointer[storeclient.Client] // by store
}{by: map[realmKey]weak.Pointer[realm]{}, backends: map[any]weak.Pointer[storeclient.Client]{}}

type realmKey struct {
	store  any // compared by identity
	prefix string
}

// realmOf returns the realm of the prefix on s.
func realmOf(s store.Store, prefix string) *realm {
	if !reflect.ValueOf(s).Comparable() { // no two values can be told to be the same
		return newRealm(storeclient.New(s), prefix)
	}
	realms.Lock()
	defer realms.Unlock()
	at := realmKey{s, prefix}
	if r := realms.by[at].Value(); r != nil {
		return r
	}
	b := realms.backends[s].Value()
	if b == nil {
		b = storeclient.New(s)
		realms.backends[s] = weak.Make(b)
		runtime.AddCleanup(b, dropBackend, any(s))
	}
	r := newRealm(b, prefix)
	realms.by[at] = weak.Make(r)
	runtime.AddCleanup(r, dropRealm, at)
	return r
}

func newRealm(b *storeclient.Client, prefix string) *realm {
	return &realm{
		Client: b, prefix: keys.Prefix(prefix),
		readings: map[string]reading{}, debts: map[string]debt{},
		waiters: map[string][]chan struct{}{}, writers: map[string]chan struct{}{}, cores: map[weak.Pointer[core]]struct{}{},
	}
}

func dropBackend(s any) {
	realms.Lock()
	defer realms.Unlock()
	if realms.backends[s].Value() == nil { // no other has taken its place
		delete(realms.backends, s)
	}
}

func dropRealm(at realmKey) {
	realms.Lock()
	defer realms.Unlock()
	if realms.by[at].Value() == nil {
		delete(realms.by, at)
	}
}

// enroll notes that c is one of the realm's functions, for as long as it is in use.
func (r *realm) enroll(c *core) {
	w := weak.Make(c)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cores[w] = struct{}{}
	runtime.AddCleanup(c, r.strike, w)
}

func (r *realm) strike(w weak.Pointer[core]) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.cores, w)
}

// users returns the functions whose results may be under key. There are several
// if New was called several times for one function.
func (r *realm) users(key string) (cores []*core) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for w := range r.cores {
		if c := w.Value(); c != nil && strings.HasPrefix(key, c.shared.head) {
			cores = append(cores, c)
		}
	}
	return cores
}
