package fleet

import (
	"context"
	"maps"
	"math"
	"time"

	"github.com/seed-0226adef/memo/internal/clock"
	"github.com/seed-0226adef/memo/internal/storeclient"
	"github.com/seed-0226adef/memo/internal/wire"
	"github.com/seed-0226adef/memo/store"
)

// EpochTrust is how long an epoch that was read counts, from when the store was
// asked. It is the second within which G4 promises that a Clear or an
// InvalidateTags of another process is seen. epochRenewal is the age at which an
// epoch that is used is read again in the background.
const (
	EpochTrust   = time.Second
	epochRenewal = 500 * time.Millisecond
)

// A Dependency is an epoch that has to be in force for a result to be valid.
type Dependency struct {
	Keyspace *Keyspace
	Key      string
	Epoch    store.Token
	Tag      bool // of a tag; who makes a result from this one takes it over
}

// An EpochAt is where an epoch is.
type EpochAt struct {
	Keyspace *Keyspace
	Key      string
}

// An Epoch is what the store said of an epoch or a counter.
type Epoch struct {
	Token    store.Token
	Mark     wire.Mark
	versions []wire.Version     // those listed, of a function's epoch; see versions.go
	former   []wire.FormerEpoch // those whose results have expired, and not been invalidated
	lasts    int64              // until when the store keeps it, as far as is known; see epochlife.go
	At       int64              // when the store was asked; forever while the store still has to be told, unknown if it has to be asked
	order    uint64             // what the store was asked before is not believed against this; see sending
	Known    int64              // when the store had answered
	used     int64              // when it was last needed
}

// unknown is the time of an epoch of which only is known what not to believe.
const unknown = math.MinInt64

// current reports whether the epoch counts at t.
func (e *Epoch) current(t int64) bool {
	return e.At != unknown && t < clock.After(e.At, EpochTrust)
}

// WhenExpired returns when the results expired that record epoch, if e has come in its place
// without making them invalid. It is no later than the store was asked.
func (e *Epoch) WhenExpired(epoch store.Token) (t int64, ok bool) {
	unix, ok := wire.WhenExpired(e.former, epoch)
	if !ok {
		return 0, false
	}
	return min(clock.At(time.Unix(0, unix)), e.At), true
}

// maxEpochs bounds how many epochs are remembered. Beyond that all are
// forgotten, and read again when they are needed.
const maxEpochs = 1 << 16

// Epoch returns what is known of key, if there is a current one.
func (k *Keyspace) Epoch(key string, t int64) (Epoch, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	e, ok := k.epochs[key]
	if !ok || !e.current(t) {
		return Epoch{}, false
	}
	e.used = t
	k.epochs[key] = e
	if t > clock.After(e.At, epochRenewal) && !k.renewing {
		k.renewing = true
		go k.renew(t)
	}
	return e, true
}

// renew reads the epochs again that were used since they were read. It ends
// with that one round trip.
func (k *Keyspace) renew(t int64) {
	var keys []string
	k.mu.Lock()
	for key, e := range k.epochs {
		if e.At != unknown && e.At < t && e.used >= e.At && len(keys) < storeclient.MaxGathered {
			keys = append(keys, key)
		}
	}
	k.mu.Unlock()
	if len(keys) > 0 {
		if values, sent, _ := k.Read(context.Background(), storeclient.DeadlineIn(k.LongestTimeout()), keys); values != nil { // some of them, if one key fails
			k.NoteEpochs(keys, values, sent)
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.renewing = false
}

// A Request is when a look-up was sent, and which reports had come by then.
type Request struct {
	At         int64
	Order      uint64   // what is known to have changed later is not to be told by this
	Reports    []uint32 // by key
	Generation uint64
}

// Read is storeclient.Client.Get that also notes what its values can be compared
// with: reports that come while a look-up is under way make its values doubtful.
func (k *Keyspace) Read(ctx context.Context, by storeclient.Deadline, keys []string) ([][]byte, Request, error) {
	for _, s := range k.seatsNow() {
		s.Use()
	}
	s := Request{At: clock.Now(), Order: k.lastOrder(), Generation: k.Notifications.Generation.Load(), Reports: make([]uint32, len(keys))}
	for i, key := range keys {
		s.Reports[i] = k.Notifications.Of(key).Load()
	}
	values, err := k.Get(ctx, by, keys)
	return values, s, err
}

// NoteEpochs remembers the epochs among what was read.
func (k *Keyspace) NoteEpochs(keys []string, values [][]byte, sent Request) {
	for i, key := range keys {
		if s, err := wire.Decode(key, values[i]); err == nil && s.IsEpoch() {
			k.noteEpoch(key, epochOf(s, sent))
		}
	}
}

// lastOrder returns the order of what is known now.
func (k *Keyspace) lastOrder() uint64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.order
}

// noteEpoch remembers an epoch that was read, unless something newer is known.
func (k *Keyspace) noteEpoch(key string, e Epoch) {
	k.mu.Lock()
	defer k.mu.Unlock()
	old, known := k.epochs[key]
	if e.order < k.floor || known && (old.At == clock.Forever || old.order > e.order || old.At > e.At) {
		return
	}
	e.used = max(e.used, old.used)
	k.remember(key, e)
}

// remember makes e what is known of key, for which there is always room. The caller
// holds k.mu.
func (k *Keyspace) remember(key string, e Epoch) {
	if _, known := k.epochs[key]; !known && len(k.epochs) >= maxEpochs {
		k.distrustAll()
	}
	k.epochs[key] = e
}

// wrote notes an epoch that this process has written, unless something has happened
// to it since the write began: then the store is asked.
func (k *Keyspace) wrote(key string, e Epoch) {
	k.mu.Lock()
	defer k.mu.Unlock()
	old := k.epochs[key]
	switch {
	case old.At == clock.Forever:
	case old.order > e.order || k.floor > e.order:
		k.distrust(key)
	default:
		k.order++
		e.order, e.used, e.Known = k.order, old.used, clock.Now()
		k.remember(key, e)
	}
}

// NextOrder returns the order from which on wrote is to look for other changes.
func (k *Keyspace) NextOrder() uint64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.order++
	return k.order
}

// distrust has the store asked at the next need of an epoch, and not believed what it
// was asked before. The caller holds k.mu.
func (k *Keyspace) distrust(key string) {
	k.order++
	k.remember(key, Epoch{versions: k.epochs[key].versions, At: unknown, order: k.order})
}

// distrustAll does so for all epochs but those of which the store has still to be told. The caller holds k.mu.
func (k *Keyspace) distrustAll() {
	k.order++
	k.floor = k.order
	maps.DeleteFunc(k.epochs, func(_ string, e Epoch) bool { return e.At != clock.Forever })
}

// forgetEpoch makes the next need of key ask the store. An epoch that the store
// still has to be told stays.
func (k *Keyspace) forgetEpoch(key string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.epochs[key].At != clock.Forever {
		k.distrust(key)
	}
}
