// Package fleet is what processes tell each other through a store: which of what it holds is
// in force.
//
//   - A Keyspace is what the functions with one prefix on one store have in common. A Member is
//     one of these functions, and a Collection its records.
//   - An Epoch is what everything of a function, of a group or with a tag depends on, by a
//     Dependency; an invalidation replaces it. A Need is an epoch that has to be known.
//   - A Seen is what the store was seen to hold under a key.
//   - A PendingInvalidation is one that the store could not be told.
//
// The package knows keys, tokens, epochs and time. It must not know who executes, that functions
// exist, nor policies, waiters or the entries of this process: it tells those by MemberEvents.
package fleet

import (
	"reflect"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"weak"

	"github.com/seed-0226adef/memo/internal/busclient"
	"github.com/seed-0226adef/memo/internal/keys"
	"github.com/seed-0226adef/memo/internal/storeclient"
	"github.com/seed-0226adef/memo/internal/wire"
	"github.com/seed-0226adef/memo/store"
)

// A Keyspace is what the functions with one prefix on one store have in common:
// their epochs, what the store still has to be told, and its notifications.
type Keyspace struct {
	*storeclient.Client
	Prefix string // of the shared keys, colon included

	mu            sync.Mutex
	epochs        map[string]Epoch                  // guarded by mu; epochs and counters, by key
	order         uint64                            // guarded by mu; counts what changes epochs, as far as it is known
	floor         uint64                            // guarded by mu; of the last change that may concern all
	renewing      bool                              // guarded by mu; a goroutine reads the epochs in use anew
	pending       map[string]PendingInvalidation    // guarded by mu; what the store could not be told yet, by key
	lastPending   uint64                            // guarded by mu; the id of the newest pending invalidation
	retrying      bool                              // guarded by mu; a timer or a goroutine retries those that are pending
	waiters       map[string][]chan struct{}        // guarded by mu; who waits for a report of a key
	writers       map[string]chan struct{}          // guarded by mu; who writes an epoch, by its key; see writeAlone
	members       map[weak.Pointer[Member]]struct{} // guarded by mu; whose records are in it, as far as they were used
	epochsChanged func()                            // called when epochs have changed, or may have

	behind, behindUntil int64 // guarded by mu; see noteSkew

	Notifications notifications
	seats         atomic.Pointer[[]*busclient.Seat] // written under mu; where it is told of changes, and tells; see bus.go
}

// keyspaces are those in use, for as long as a function uses them.
var keyspaces = struct {
	sync.Mutex
	by      map[keyspaceID]weak.Pointer[Keyspace]
	clients map[any]weak.Pointer[storeclient.Client] // by store
}{by: map[keyspaceID]weak.Pointer[Keyspace]{}, clients: map[any]weak.Pointer[storeclient.Client]{}}

type keyspaceID struct {
	store  any // compared by identity
	prefix string
}

// KeyspaceOf returns the keyspace of the prefix on s.
func KeyspaceOf(s store.Store, prefix string, onEpochs func()) *Keyspace {
	if !reflect.ValueOf(s).Comparable() { // no two values can be told to be the same
		return newKeyspace(storeclient.New(s), prefix, onEpochs)
	}
	keyspaces.Lock()
	defer keyspaces.Unlock()
	at := keyspaceID{s, prefix}
	if k := keyspaces.by[at].Value(); k != nil {
		return k
	}
	b := keyspaces.clients[s].Value()
	if b == nil {
		b = storeclient.New(s)
		keyspaces.clients[s] = weak.Make(b)
		runtime.AddCleanup(b, dropClient, any(s))
	}
	k := newKeyspace(b, prefix, onEpochs)
	keyspaces.by[at] = weak.Make(k)
	runtime.AddCleanup(k, dropKeyspace, at)
	return k
}

func newKeyspace(b *storeclient.Client, prefix string, onEpochs func()) *Keyspace {
	return &Keyspace{
		Client: b, Prefix: keys.Prefix(prefix),
		epochs: map[string]Epoch{}, pending: map[string]PendingInvalidation{},
		waiters: map[string][]chan struct{}{}, writers: map[string]chan struct{}{}, members: map[weak.Pointer[Member]]struct{}{}, epochsChanged: onEpochs,
	}
}

// inUse returns the keyspaces in use.
func inUse() (all []*Keyspace) {
	keyspaces.Lock()
	defer keyspaces.Unlock()
	for _, w := range keyspaces.by {
		if k := w.Value(); k != nil {
			all = append(all, k)
		}
	}
	return all
}

func dropClient(s any) {
	keyspaces.Lock()
	defer keyspaces.Unlock()
	if keyspaces.clients[s].Value() == nil { // no other has taken its place
		delete(keyspaces.clients, s)
	}
}

func dropKeyspace(at keyspaceID) {
	keyspaces.Lock()
	defer keyspaces.Unlock()
	if keyspaces.by[at].Value() == nil {
		delete(keyspaces.by, at)
	}
}

// A Member is a function as its keyspace sees it: records whose keys have one head.
type Member struct {
	Head     string       // of the keys
	ClearKey string       // of the epoch that a Clear of the function replaces
	Version  wire.Version // what the head is in the list of its name's versions
	On       MemberEvents
}

// MemberEvents tell a member what happens to its records.
type MemberEvents interface {
	// Changed says that a change of the record under key was reported.
	Changed(key string)
	// Overtaken says that in this process the record under key of by, a member with the
	// same name, was invalidated or set. id is what by calls the key.
	Overtaken(by *Member, id, key string)
	// Cleared says that all records of the name were invalidated.
	Cleared()
}

// Enroll makes m a member for as long as it is in use.
func (k *Keyspace) Enroll(m *Member) {
	w := weak.Make(m)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.members[w] = struct{}{}
	runtime.AddCleanup(m, k.remove, w)
}

// Dismiss makes m no member any more.
func (k *Keyspace) Dismiss(m *Member) { k.remove(weak.Make(m)) }

func (k *Keyspace) remove(w weak.Pointer[Member]) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.members, w)
}

// membersThat returns the members for which is reports true.
func (k *Keyspace) membersThat(is func(*Member) bool) (some []*Member) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for w := range k.members {
		if m := w.Value(); m != nil && is(m) {
			some = append(some, m)
		}
	}
	return some
}

// membersAt returns the members whose records may be under key. There are several
// if one name was given several times.
func (k *Keyspace) membersAt(key string) []*Member {
	return k.membersThat(func(m *Member) bool { return strings.HasPrefix(key, m.Head) })
}

// Namesakes returns the other members of this process that are cleared with m.
func (k *Keyspace) Namesakes(m *Member) []*Member {
	return k.membersThat(func(o *Member) bool { return o != m && o.ClearKey == m.ClearKey })
}

// Overtake tells m's namesakes that m's record under key was invalidated or set. id is
// what m calls the key.
func (k *Keyspace) Overtake(m *Member, id, key string) {
	for _, other := range k.Namesakes(m) {
		other.On.Overtaken(m, id, key)
	}
}
