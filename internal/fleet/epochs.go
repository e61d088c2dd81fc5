package fleet

import (
	"context"
	"errors"
	"iter"
	"maps"
	"math"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/seed-0226adef/memo/internal/clock"
	"github.com/seed-0226adef/memo/internal/keys"
	"github.com/seed-0226adef/memo/internal/storeclient"
	"github.com/seed-0226adef/memo/internal/wire"
	"github.com/seed-0226adef/memo/store"
)

// EpochTrust is how long a reading of an epoch counts, from when the store was
// asked. It is the second within which G4 promises that a Clear or an
// InvalidateTags of another process is seen. epochRenewal is the age at which a
// reading that is used is renewed in the background.
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

// A EpochAt is where an epoch is.
type EpochAt struct {
	Keyspace *Keyspace
	Key      string
}

// A Epoch is what the store said of an epoch or a turn.
type Epoch struct {
	Token    store.Token
	Mark     wire.Mark
	versions []wire.Version // those listed, of a function's epoch; see versions.go
	lasts    int64          // until when the store keeps it, as far as is known; see epochlife.go
	At       int64          // when the store was asked; forever while the store still has to be told, unknown if it has to be asked
	order    uint64         // what the store was asked before is not believed against this; see sending
	Known    int64          // when the store had answered
	used     int64          // when it was last needed
}

// unknown is the time of a reading that only says which others to refuse.
const unknown = math.MinInt64

// current reports whether the reading may be used at t.
func (e *Epoch) current(t int64) bool {
	return e.At != unknown && t < clock.After(e.At, EpochTrust)
}

// maxEpochs bounds how many epochs are remembered. Beyond that all are
// forgotten, and read again by whoever needs them.
const maxEpochs = 1 << 16

// Epoch returns the reading of key, if there is a current one.
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

// renew reads the epochs that were used since their last reading anew. It ends
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

// Read is backend.read that also notes what its values can be compared
// with: reports that come while a look-up is under way make its values doubtful.
func (k *Keyspace) Read(ctx context.Context, by storeclient.Deadline, keys []string) ([][]byte, Request, error) {
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

// noteEpoch remembers one reading, unless something newer is known.
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

// remember makes e the reading of key, for which there is always room. The caller
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

// distrustAll does so for all epochs but those that are owed. The caller holds k.mu.
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

// A Need is an epoch that somebody needs to know.
type Need struct {
	Key     string
	Counter string // the key of the turn that its mark is of; empty for one without a mark

	Lists *wire.Version // the version that has to be listed there; nil for an epoch that is no function's
}

// met reports whether e is all that is needed.
func (n *Need) met(e *Epoch) bool { return n.Lists == nil || wire.Lists(e.versions, n.Lists) }

// Ensure makes sure that there are current readings of all needs, and returns
// them. Where the store holds nothing, an epoch is drawn: never a fixed one, for
// then results of an epoch that the store has dropped would be valid again. A
// version that is to be listed in an epoch is listed when ensure returns. What ensure
// writes is given that life.
func (k *Keyspace) Ensure(ctx context.Context, by storeclient.Deadline, life time.Duration, needs []Need) (map[string]Epoch, error) {
	found := make(map[string]Epoch, len(needs))
	// By how many are needed, not by how many are missing: those who come when some have
	// been drawn wait for the rest as well.
	if missing, _, err := k.missing(needs, found); err == nil && len(missing) > 0 && len(needs) > storeclient.MaxWrites {
		done, err := k.exclusively(ctx, by, manyEpochs)
		if err != nil {
			return nil, err
		}
		defer done()
	}
	for range MaxContradictions {
		missing, keys, err := k.missing(needs, found)
		if err != nil || len(missing) == 0 {
			return found, err
		}
		values, sent, err := k.Read(ctx, by, keys)
		if err != nil {
			return nil, err
		}
		k.NoteEpochs(keys, values, sent)
		var writes errgroup.Group
		writes.SetLimit(storeclient.MaxWrites)
		for i, n := range missing {
			s, err := wire.Decode(n.Key, values[i])
			if err == nil {
				if e := epochOf(s, sent); n.met(&e) {
					found[n.Key] = e
					continue
				}
			}
			writes.Go(func() error { return k.meet(ctx, by, life, n, values[i]) })
		}
		if err := writes.Wait(); err != nil {
			return nil, err
		}
	}
	return nil, ErrUnsettled
}

// manyEpochs stands, where epochs are written by one goroutine at a time, for all of them.
// The results of a batch all need the epochs of all tags that fn has added: where those
// are many, the first result draws them, and the others find them known.
const manyEpochs = ""

// missing adds to found what is known of needs, and returns the rest, each once.
func (k *Keyspace) missing(needs []Need, found map[string]Epoch) (missing []Need, keys []string, err error) {
	seen := make(map[string]struct{}, len(needs))
	for _, n := range needs {
		if _, again := seen[n.Key]; again {
			continue
		}
		seen[n.Key] = struct{}{}
		if e, ok := k.Epoch(n.Key, clock.Now()); ok && (e.At == clock.Forever || n.met(&e)) {
			if found[n.Key] = e; e.At == clock.Forever {
				return nil, nil, ErrPending
			}
		} else if _, ok := found[n.Key]; !ok {
			missing, keys = append(missing, n), append(keys, n.Key)
		}
	}
	return missing, keys, nil
}

// ErrPending is why nothing is stored at the moment: the store has not heard yet that
// all there is of a function, or what has a tag, is invalid.
var ErrPending = errors.New("memo: an invalidation has not reached the store yet")

// ErrUnsettled is reported when others keep changing what a process tries to
// agree on with them. It counts as a store out of order for the one call.
var ErrUnsettled = errors.New("memo: the epochs in the store keep changing")

// meet writes what n needs in the place of what the store holds there: a new epoch if
// that is none, or the same one with n's version listed. That another process was
// faster is no error. Of the goroutines of this process that want the same, one
// writes.
func (k *Keyspace) meet(ctx context.Context, by storeclient.Deadline, life time.Duration, n Need, there []byte) error {
	done, err := k.exclusively(ctx, by, n.Key)
	if err != nil {
		return err
	}
	defer done()
	if e, known := k.Epoch(n.Key, clock.Now()); known && n.met(&e) {
		return nil
	}
	s, err := wire.Decode(n.Key, there)
	if err == nil && s.IsEpoch() {
		s = s.Listing(*n.Lists)
	} else if s, err = k.newEpoch(ctx, by, n); err != nil {
		return err
	} else {
		s.Life = life
	}
	end, err := k.TakeTurn(ctx, by)
	if err != nil {
		return err
	}
	defer end()
	err = k.writeEpoch(ctx, by, n.Key, there, s)
	if errors.Is(err, store.ErrExists) || errors.Is(err, store.ErrConflict) {
		return nil
	}
	return err
}

// newEpoch returns a new epoch for n, where the store has lost the one there was.
func (k *Keyspace) newEpoch(ctx context.Context, by storeclient.Deadline, n Need) (*wire.Record, error) {
	s := wire.NewEpoch(wire.Mark{})
	switch {
	case n.Counter != "": // which has to be at least as late as the store's losing the epoch
		values, _, err := k.Read(ctx, by, []string{n.Counter})
		if err != nil {
			return nil, err
		}
		if t, err := wire.Decode(n.Counter, values[0]); err == nil {
			s.Mark = t.Mark
		}
	case k.isCounter(n.Key):
		s.Mark.Generation = store.NewToken()
	case n.Lists != nil:
		s = s.Listing(*n.Lists)
	}
	return s, nil
}

// epochOf returns what s, which was read as sent says, tells of an epoch.
func epochOf(s *wire.Record, sent Request) Epoch {
	return Epoch{Token: s.Epoch, Mark: s.Mark, versions: s.Versions, lasts: s.Lasts(sent.At), At: sent.At, order: sent.Order, Known: clock.Now()}
}

// writeEpoch writes s in the place of there, and notes it. It changes nothing if
// something else is there by now: the error is store.ErrConflict or store.ErrExists.
func (k *Keyspace) writeEpoch(ctx context.Context, by storeclient.Deadline, key string, there []byte, s *wire.Record) error {
	s.Written = time.Now().Unix()
	e := epochOf(s, Request{At: clock.Now(), Order: k.NextOrder()})
	value, err := s.Encode(key, nil)
	if err != nil {
		return err
	}
	err = k.Do(ctx, by.Remaining(), func(ctx context.Context) error {
		if old, ok := store.TokenOf(there); ok {
			return k.Store.Swap(ctx, key, old, value, s.Life)
		}
		if there != nil { // too short to be anything of ours
			if err := k.Store.Delete(ctx, key); err != nil {
				return err
			}
		}
		return k.Store.Add(ctx, key, value, s.Life)
	})
	if err == nil {
		k.wrote(key, e)
	}
	return err
}

// exclusively waits until nobody else in this process writes the epoch under key, until
// by at most, and makes others wait until done is called.
func (k *Keyspace) exclusively(ctx context.Context, by storeclient.Deadline, key string) (done func(), err error) {
	var late <-chan time.Time
	if queue := by.Queue(); queue > 0 {
		timer := time.NewTimer(queue)
		defer timer.Stop()
		late = timer.C
	}
	for {
		k.mu.Lock()
		other := k.writers[key]
		if other == nil {
			mine := make(chan struct{})
			k.writers[key] = mine
			k.mu.Unlock()
			return func() {
				k.mu.Lock()
				defer k.mu.Unlock()
				delete(k.writers, key)
				close(mine)
			}, nil
		}
		k.mu.Unlock()
		select {
		case <-other:
		case <-late:
			return nil, storeclient.ErrBusy
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// Keys of epochs and turns have no name after the prefix, where those of results
// always have one:
//
//	prefix::clear:name:      of a function's Clear
//	prefix::group:path:      of a group's Clear
//	prefix::turn:path:       of the invalidations of the group's tags
//	prefix::tag:path:tag     of one of the group's tags
//	prefix::tags:path:       of all of them together; see maxDebts
func (k *Keyspace) EpochKey(kind, path, tag string) string {
	b := append(append([]byte(k.Prefix), ':'), kind...)
	b = append(b, ':')
	head := len(b)
	b = append(keys.AppendEscaped(b, path), ':')
	b = keys.AppendEscaped(b, tag)
	if len(b) > keys.MaxLen {
		b = keys.AppendHash(b[:head], string(b[head:]))
	}
	return string(b)
}

func (k *Keyspace) isEpoch(key string) bool {
	rest, ok := strings.CutPrefix(key, k.Prefix)
	return ok && strings.HasPrefix(rest, ":")
}

func (k *Keyspace) isCounter(key string) bool {
	return strings.HasPrefix(key[len(k.Prefix):], ":turn:")
}

// SetEpochs draws new epochs for needs and writes them, within what is left
// altogether. What does not reach the store is owed by owner; in this process the
// new epochs hold either way.
func (k *Keyspace) SetEpochs(ctx context.Context, by storeclient.Deadline, owner string, m wire.Mark, needs ...Need) error {
	keys := make([]string, len(needs))
	for i, n := range needs {
		keys[i] = n.Key
	}
	values, _, err := k.Read(ctx, by, keys)
	if err != nil {
		k.addPendingEpochs(owner, m, keys...)
		return err
	}
	return k.replaceEpochs(ctx, by, owner, m, needs, values)
}

// replaceEpochs is setEpochs where the store was asked what there is.
func (k *Keyspace) replaceEpochs(ctx context.Context, by storeclient.Deadline, owner string, m wire.Mark, needs []Need, there [][]byte) error {
	errs, last := make([]error, len(needs)), k.LastPending()
	var wg sync.WaitGroup
	slots := make(chan struct{}, storeclient.MaxWrites)
	for i, n := range needs {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			if errs[i] = k.beginEpoch(ctx, by, m, n, there[i]); errs[i] != nil {
				k.addPendingEpochs(owner, m, n.Key)
			} else {
				k.Acknowledge(n.Key, last)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// addPendingEpochs notes that the store still has to be told of new epochs.
func (k *Keyspace) addPendingEpochs(owner string, m wire.Mark, keys ...string) {
	for _, key := range keys {
		e := epochOf(wire.NewEpoch(m), Request{})
		k.AddPending(key, PendingInvalidation{epoch: true, mark: m, Owner: owner}, &e)
	}
}

// maxRivals is how often in a row others may change an epoch before a process that is
// to replace it counts that as a failure.
const maxRivals = 16

// beginEpoch replaces the epoch under n's key, where there is what the store has just
// told, by a new one in which n's version is listed. It is also content with one that
// somebody else has drawn after that.
//
// A write of it that arrives late, or twice, changes nothing: it finds another token.
func (k *Keyspace) beginEpoch(ctx context.Context, by storeclient.Deadline, m wire.Mark, n Need, there []byte) error {
	var first store.Token
	for attempt := range maxRivals {
		old, _ := wire.Decode(n.Key, there)
		switch {
		case old == nil:
		case attempt == 0:
			first = old.Epoch
		case old.Epoch != first && old.Mark.Follows(m):
			k.forgetEpoch(n.Key)
			return nil
		}
		next := old.Successor(m)
		if n.Lists != nil {
			next = next.Listing(*n.Lists)
		}
		err := k.writeEpoch(ctx, by, n.Key, there, next)
		if !errors.Is(err, store.ErrConflict) && !errors.Is(err, store.ErrExists) {
			return err
		}
		values, _, err := k.Read(ctx, by, []string{n.Key})
		if err != nil {
			return err
		}
		there = values[0]
	}
	return ErrUnsettled
}

// InvalidateTags draws new epochs for tags of a group, and counts its turn before,
// within limit altogether. When an operation of the turn has failed, the epochs are
// owed without an attempt.
func (k *Keyspace) InvalidateTags(ctx context.Context, limit time.Duration, path string, tags []string) error {
	owner, turn := k.EpochKey("tags", path, ""), k.EpochKey("turn", path, "")
	keys, needs := []string{turn}, []Need(nil)
	for _, tag := range tags {
		n := Need{Key: k.EpochKey("tag", path, tag)}
		keys, needs = append(keys, n.Key), append(needs, n)
	}
	by := storeclient.DeadlineIn(limit)
	values, _, err := k.Read(ctx, by, keys)
	var m wire.Mark
	if err == nil {
		m, err = k.countUp(ctx, by, owner, turn, values[0])
	} else {
		m = wire.Mark{Generation: store.NewToken()}
		k.addPendingEpochs(owner, m, turn)
	}
	if err == nil {
		return k.replaceEpochs(ctx, by, owner, m, needs, values[1:])
	}
	k.addPendingEpochs(owner, m, keys[1:]...)
	return err
}

// countUp counts an invalidation of tags in the group whose turn key is, before
// their epochs are written, and returns the mark for these. A turn that cannot be
// counted begins anew, with a generation that no execution has seen.
func (k *Keyspace) countUp(ctx context.Context, by storeclient.Deadline, owner, key string, there []byte) (wire.Mark, error) {
	m, err := k.count(ctx, by, key, there)
	if err == nil {
		return m, nil
	}
	m = wire.Mark{Generation: store.NewToken()}
	if !storeclient.IsAnswer(err) && !errors.Is(err, wire.ErrUnknown) {
		k.addPendingEpochs(owner, m, key)
		return m, err
	}
	return m, k.SetEpochs(ctx, by, owner, m, Need{Key: key})
}

// count counts the turn under key up, if there is one.
func (k *Keyspace) count(ctx context.Context, by storeclient.Deadline, key string, there []byte) (m wire.Mark, err error) {
	for range maxRivals { // others may count at the same time
		last := k.LastPending()
		s, err := wire.Decode(key, there)
		if err != nil {
			return m, err
		}
		m = wire.Mark{Generation: s.Mark.Generation, Count: s.Mark.Count + 1}
		if err = k.writeEpoch(ctx, by, key, there, s.Successor(m)); err == nil {
			k.Acknowledge(key, last)
			return m, nil
		}
		if !errors.Is(err, store.ErrConflict) {
			return m, err
		}
		values, _, err := k.Read(ctx, by, []string{key})
		if err != nil {
			return m, err
		}
		there = values[0]
	}
	return m, store.ErrConflict
}

// TagNeeds returns the epochs of a tag in a scope: in that group and in each around
// it, its own and that of all tags.
func (k *Keyspace) TagNeeds(path, tag string) (needs []Need) {
	for p := range Enclosing(path) {
		turn := k.EpochKey("turn", p, "")
		needs = append(needs, Need{Key: k.EpochKey("tag", p, tag), Counter: turn}, Need{Key: k.EpochKey("tags", p, ""), Counter: turn})
	}
	return needs
}

// Enclosing yields the path of a group and of each group around it, from the
// innermost on. For the empty path it yields nothing.
func Enclosing(path string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for path != "" && yield(path) {
			path = path[:max(strings.LastIndexByte(path, '/'), 0)]
		}
	}
}

// MaxContradictions is how often in a row the store may say first that there is
// something under a key and then that there is not, or that others were faster,
// before a process goes on without it.
const MaxContradictions = 4
