package memo

import (
	"context"
	"errors"
	"maps"
	"math"
	"strings"
	"sync"
	"time"

	"github.com/seed-0226adef/memo/internal/clock"
	"github.com/seed-0226adef/memo/internal/keys"
	"github.com/seed-0226adef/memo/internal/storeclient"
	"github.com/seed-0226adef/memo/internal/wire"
	"github.com/seed-0226adef/memo/store"
)

// epochTrust is how long a reading of an epoch counts, from when the store was
// asked. It is the second within which G4 promises that a Clear or an
// InvalidateTags of another process is seen. epochRenewal is the age at which a
// reading that is used is renewed in the background.
const (
	epochTrust   = time.Second
	epochRenewal = 500 * time.Millisecond
)

// A fence is an epoch that has to be in force for a result to be valid.
type fence struct {
	realm *realm
	key   string
	epoch store.Token
	tag   bool // of a tag; who makes a result from this one takes it over
}

// A fenceAt is where an epoch is.
type fenceAt struct {
	realm *realm
	key   string
}

// A reading is what the store said of an epoch or a turn.
type reading struct {
	epoch    store.Token
	mark     wire.Mark
	versions []wire.Version // those listed, of a function's epoch; see versions.go
	lasts    int64          // until when the store keeps it, as far as is known; see epochlife.go
	at       int64          // when the store was asked; forever while the store still has to be told, unknown if it has to be asked
	order    uint64         // what the store was asked before is not believed against this; see sending
	known    int64          // when the store had answered
	used     int64          // when it was last needed
}

// unknown is the time of a reading that only says which others to refuse.
const unknown = math.MinInt64

// current reports whether the reading may be used at t.
func (r *reading) current(t int64) bool {
	return r.at != unknown && t < clock.After(r.at, epochTrust)
}

// maxReadings bounds how many epochs are remembered. Beyond that all are
// forgotten, and read again by whoever needs them.
const maxReadings = 1 << 16

// epoch returns the reading of key, if there is a current one.
func (r *realm) epoch(key string, t int64) (reading, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e, ok := r.readings[key]
	if !ok || !e.current(t) {
		return reading{}, false
	}
	e.used = t
	r.readings[key] = e
	if t > clock.After(e.at, epochRenewal) && !r.renewing {
		r.renewing = true
		go r.renew(t)
	}
	return e, true
}

// renew reads the epochs that were used since their last reading anew. It ends
// with that one round trip.
func (r *realm) renew(t int64) {
	var keys []string
	r.mu.Lock()
	for key, e := range r.readings {
		if e.at != unknown && e.at < t && e.used >= e.at && len(keys) < storeclient.MaxGathered {
			keys = append(keys, key)
		}
	}
	r.mu.Unlock()
	if len(keys) > 0 {
		if values, sent, _ := r.readNoting(context.Background(), storeclient.DeadlineIn(r.LongestTimeout()), keys); values != nil { // some of them, if one key fails
			r.noteEpochs(keys, values, sent)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.renewing = false
}

// A sending is when a look-up was sent, and which reports had come by then.
type sending struct {
	at      int64
	order   uint64   // what is known to have changed later is not to be told by this
	reports []uint32 // by key
	era     uint64
}

// readNoting is backend.read that also notes what its values can be compared
// with: reports that come while a look-up is under way make its values doubtful.
func (r *realm) readNoting(ctx context.Context, by storeclient.Deadline, keys []string) ([][]byte, sending, error) {
	s := sending{at: clock.Now(), order: r.lastOrder(), era: r.notices.era.Load(), reports: make([]uint32, len(keys))}
	for i, key := range keys {
		s.reports[i] = r.notices.of(key).Load()
	}
	values, err := r.Get(ctx, by, keys)
	return values, s, err
}

// noteEpochs remembers the epochs among what was read.
func (r *realm) noteEpochs(keys []string, values [][]byte, sent sending) {
	for i, key := range keys {
		if s, err := wire.Decode(key, values[i]); err == nil && s.IsEpoch() {
			r.noteEpoch(key, readingOf(s, sent))
		}
	}
}

// lastOrder returns the order of what is known now.
func (r *realm) lastOrder() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.order
}

// noteEpoch remembers one reading, unless something newer is known.
func (r *realm) noteEpoch(key string, e reading) {
	r.mu.Lock()
	defer r.mu.Unlock()
	old, known := r.readings[key]
	if e.order < r.floor || known && (old.at == clock.Forever || old.order > e.order || old.at > e.at) {
		return
	}
	e.used = max(e.used, old.used)
	r.remember(key, e)
}

// remember makes e the reading of key, for which there is always room. The caller
// holds r.mu.
func (r *realm) remember(key string, e reading) {
	if _, known := r.readings[key]; !known && len(r.readings) >= maxReadings {
		r.distrustAll()
	}
	r.readings[key] = e
}

// wrote notes an epoch that this process has written, unless something has happened
// to it since the write began: then the store is asked.
func (r *realm) wrote(key string, e reading) {
	r.mu.Lock()
	defer r.mu.Unlock()
	old := r.readings[key]
	switch {
	case old.at == clock.Forever:
	case old.order > e.order || r.floor > e.order:
		r.distrust(key)
	default:
		r.order++
		e.order, e.used, e.known = r.order, old.used, clock.Now()
		r.remember(key, e)
	}
}

// nextOrder returns the order from which on wrote is to look for other changes.
func (r *realm) nextOrder() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.order++
	return r.order
}

// distrust has the store asked at the next need of an epoch, and not believed what it
// was asked before. The caller holds r.mu.
func (r *realm) distrust(key string) {
	r.order++
	r.remember(key, reading{versions: r.readings[key].versions, at: unknown, order: r.order})
}

// distrustAll does so for all epochs but those that are owed. The caller holds r.mu.
func (r *realm) distrustAll() {
	r.order++
	r.floor = r.order
	maps.DeleteFunc(r.readings, func(_ string, e reading) bool { return e.at != clock.Forever })
}

// forgetEpoch makes the next need of key ask the store. An epoch that the store
// still has to be told stays.
func (r *realm) forgetEpoch(key string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.readings[key].at != clock.Forever {
		r.distrust(key)
	}
}

// A need is an epoch that somebody needs to know.
type need struct {
	key  string
	turn string // the key of the turn that its mark is of; empty for one without a mark

	lists *wire.Version // the version that has to be listed there; nil for an epoch that is no function's
}

// met reports whether e is all that is needed.
func (n *need) met(e *reading) bool { return n.lists == nil || wire.Lists(e.versions, n.lists) }

// ensure makes sure that there are current readings of all needs, and returns
// them. Where the store holds nothing, an epoch is drawn: never a fixed one, for
// then results of an epoch that the store has dropped would be valid again. A
// version that is to be listed in an epoch is listed when ensure returns. What ensure
// writes is given that life.
func (r *realm) ensure(ctx context.Context, by storeclient.Deadline, life time.Duration, needs []need) (map[string]reading, error) {
	found := make(map[string]reading, len(needs))
	if missing, _, err := r.missing(needs, found); err == nil && len(missing) > storeclient.MaxWrites {
		done, err := r.writeAlone(ctx, by, manyEpochs)
		if err != nil {
			return nil, err
		}
		defer done()
	}
	for range contradictions {
		missing, keys, err := r.missing(needs, found)
		if err != nil || len(missing) == 0 {
			return found, err
		}
		values, sent, err := r.readNoting(ctx, by, keys)
		if err != nil {
			return nil, err
		}
		r.noteEpochs(keys, values, sent)
		var wg sync.WaitGroup
		slots, errs := make(chan struct{}, storeclient.MaxWrites), make([]error, len(missing))
		for i, n := range missing {
			s, err := wire.Decode(n.key, values[i])
			if err == nil {
				if e := readingOf(s, sent); n.met(&e) {
					found[n.key] = e
					continue
				}
			}
			slots <- struct{}{}
			wg.Go(func() {
				defer func() { <-slots }()
				errs[i] = r.meet(ctx, by, life, n, values[i])
			})
		}
		wg.Wait()
		if err := errors.Join(errs...); err != nil {
			return nil, err
		}
	}
	return nil, errUnsettled
}

// manyEpochs stands, where epochs are written by one goroutine at a time, for all of them.
// The results of a batch all need the epochs of all tags that fn has added: where those
// are many, the first result draws them, and the others find them known.
const manyEpochs = ""

// missing adds to found what is known of needs, and returns the rest, each once.
func (r *realm) missing(needs []need, found map[string]reading) (missing []need, keys []string, err error) {
	seen := make(map[string]struct{}, len(needs))
	for _, n := range needs {
		if _, again := seen[n.key]; again {
			continue
		}
		seen[n.key] = struct{}{}
		if e, ok := r.epoch(n.key, clock.Now()); ok && (e.at == clock.Forever || n.met(&e)) {
			if found[n.key] = e; e.at == clock.Forever {
				return nil, nil, errOwed
			}
		} else if _, ok := found[n.key]; !ok {
			missing, keys = append(missing, n), append(keys, n.key)
		}
	}
	return missing, keys, nil
}

// errOwed is why nothing is stored at the moment: the store has not heard yet that
// all there is of a function, or what has a tag, is invalid.
var errOwed = errors.New("memo: an invalidation has not reached the store yet")

// errUnsettled is reported when others keep changing what a process tries to
// agree on with them. It counts as a store out of order for the one call.
var errUnsettled = errors.New("memo: the epochs in the store keep changing")

// meet writes what n needs in the place of what the store holds there: a new epoch if
// that is none, or the same one with n's version listed. That another process was
// faster is no error. Of the goroutines of this process that want the same, one
// writes.
func (r *realm) meet(ctx context.Context, by storeclient.Deadline, life time.Duration, n need, there []byte) error {
	done, err := r.writeAlone(ctx, by, n.key)
	if err != nil {
		return err
	}
	defer done()
	if e, known := r.epoch(n.key, clock.Now()); known && n.met(&e) {
		return nil
	}
	s, err := wire.Decode(n.key, there)
	if err == nil && s.IsEpoch() {
		s = s.Listing(*n.lists)
	} else if s, err = r.draw(ctx, by, n); err != nil {
		return err
	} else {
		s.Life = life
	}
	end, err := r.TakeTurn(ctx, by)
	if err != nil {
		return err
	}
	defer end()
	err = r.writeEpoch(ctx, by, n.key, there, s)
	if errors.Is(err, store.ErrExists) || errors.Is(err, store.ErrConflict) {
		return nil
	}
	return err
}

// draw returns a new epoch for n, where the store has lost the one there was.
func (r *realm) draw(ctx context.Context, by storeclient.Deadline, n need) (*wire.Record, error) {
	s := wire.NewEpoch(wire.Mark{})
	switch {
	case n.turn != "": // which has to be at least as late as the store's losing the epoch
		values, _, err := r.readNoting(ctx, by, []string{n.turn})
		if err != nil {
			return nil, err
		}
		if t, err := wire.Decode(n.turn, values[0]); err == nil {
			s.Mark = t.Mark
		}
	case r.isTurn(n.key):
		s.Mark.Generation = store.NewToken()
	case n.lists != nil:
		s = s.Listing(*n.lists)
	}
	return s, nil
}

// readingOf returns what s, which was read as sent says, tells of an epoch.
func readingOf(s *wire.Record, sent sending) reading {
	return reading{epoch: s.Epoch, mark: s.Mark, versions: s.Versions, lasts: s.Lasts(sent.at), at: sent.at, order: sent.order, known: clock.Now()}
}

// writeEpoch writes s in the place of there, and notes it. It changes nothing if
// something else is there by now: the error is store.ErrConflict or store.ErrExists.
func (r *realm) writeEpoch(ctx context.Context, by storeclient.Deadline, key string, there []byte, s *wire.Record) error {
	s.Written = time.Now().Unix()
	e := readingOf(s, sending{at: clock.Now(), order: r.nextOrder()})
	value, err := s.Encode(key, nil)
	if err != nil {
		return err
	}
	err = r.Do(ctx, by.Remaining(), func(ctx context.Context) error {
		if old, ok := store.TokenOf(there); ok {
			return r.Store.Swap(ctx, key, old, value, s.Life)
		}
		if there != nil { // too short to be anything of ours
			if err := r.Store.Delete(ctx, key); err != nil {
				return err
			}
		}
		return r.Store.Add(ctx, key, value, s.Life)
	})
	if err == nil {
		r.wrote(key, e)
	}
	return err
}

// writeAlone waits until nobody else in this process writes the epoch under key, until
// by at most, and makes others wait until done is called.
func (r *realm) writeAlone(ctx context.Context, by storeclient.Deadline, key string) (done func(), err error) {
	var late <-chan time.Time
	if queue := by.Queue(); queue > 0 {
		timer := time.NewTimer(queue)
		defer timer.Stop()
		late = timer.C
	}
	for {
		r.mu.Lock()
		other := r.writers[key]
		if other == nil {
			mine := make(chan struct{})
			r.writers[key] = mine
			r.mu.Unlock()
			return func() {
				r.mu.Lock()
				defer r.mu.Unlock()
				delete(r.writers, key)
				close(mine)
			}, nil
		}
		r.mu.Unlock()
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
func (r *realm) epochKey(kind, path, tag string) string {
	b := append(append([]byte(r.prefix), ':'), kind...)
	b = append(b, ':')
	head := len(b)
	b = append(keys.AppendEscaped(b, path), ':')
	b = keys.AppendEscaped(b, tag)
	if len(b) > keys.MaxLen {
		b = keys.AppendHash(b[:head], string(b[head:]))
	}
	return string(b)
}

func (r *realm) isEpoch(key string) bool {
	rest, ok := strings.CutPrefix(key, r.prefix)
	return ok && strings.HasPrefix(rest, ":")
}

func (r *realm) isTurn(key string) bool { return strings.HasPrefix(key[len(r.prefix):], ":turn:") }

// setEpochs draws new epochs for needs and writes them, within what is left
// altogether. What does not reach the store is owed by owner; in this process the
// new epochs hold either way.
func (r *realm) setEpochs(ctx context.Context, by storeclient.Deadline, owner string, m wire.Mark, needs ...need) error {
	keys := make([]string, len(needs))
	for i, n := range needs {
		keys[i] = n.key
	}
	values, _, err := r.readNoting(ctx, by, keys)
	if err != nil {
		r.oweEpochs(owner, m, keys...)
		return err
	}
	return r.replaceEpochs(ctx, by, owner, m, needs, values)
}

// replaceEpochs is setEpochs where the store was asked what there is.
func (r *realm) replaceEpochs(ctx context.Context, by storeclient.Deadline, owner string, m wire.Mark, needs []need, there [][]byte) error {
	errs, last := make([]error, len(needs)), r.lastDebtNow()
	var wg sync.WaitGroup
	slots := make(chan struct{}, storeclient.MaxWrites)
	for i, n := range needs {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			if errs[i] = r.beginEpoch(ctx, by, m, n, there[i]); errs[i] != nil {
				r.oweEpochs(owner, m, n.key)
			} else {
				r.forgive(n.key, last)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// oweEpochs notes that the store still has to be told of new epochs.
func (r *realm) oweEpochs(owner string, m wire.Mark, keys ...string) {
	for _, key := range keys {
		e := readingOf(wire.NewEpoch(m), sending{})
		r.owe(key, debt{epoch: true, mark: m, owner: owner}, &e)
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
func (r *realm) beginEpoch(ctx context.Context, by storeclient.Deadline, m wire.Mark, n need, there []byte) error {
	var first store.Token
	for attempt := range maxRivals {
		old, _ := wire.Decode(n.key, there)
		switch {
		case old == nil:
		case attempt == 0:
			first = old.Epoch
		case old.Epoch != first && old.Mark.Follows(m):
			r.forgetEpoch(n.key)
			return nil
		}
		next := old.Successor(m)
		if n.lists != nil {
			next = next.Listing(*n.lists)
		}
		err := r.writeEpoch(ctx, by, n.key, there, next)
		if !errors.Is(err, store.ErrConflict) && !errors.Is(err, store.ErrExists) {
			return err
		}
		values, _, err := r.readNoting(ctx, by, []string{n.key})
		if err != nil {
			return err
		}
		there = values[0]
	}
	return errUnsettled
}

// invalidateTags draws new epochs for tags of a group, and counts its turn before,
// within limit altogether. When an operation of the turn has failed, the epochs are
// owed without an attempt.
func (r *realm) invalidateTags(ctx context.Context, limit time.Duration, path string, tags []string) error {
	owner, turn := r.epochKey("tags", path, ""), r.epochKey("turn", path, "")
	keys, needs := []string{turn}, []need(nil)
	for _, tag := range tags {
		n := need{key: r.epochKey("tag", path, tag)}
		keys, needs = append(keys, n.key), append(needs, n)
	}
	by := storeclient.DeadlineIn(limit)
	values, _, err := r.readNoting(ctx, by, keys)
	var m wire.Mark
	if err == nil {
		m, err = r.advance(ctx, by, owner, turn, values[0])
	} else {
		m = wire.Mark{Generation: store.NewToken()}
		r.oweEpochs(owner, m, turn)
	}
	if err == nil {
		return r.replaceEpochs(ctx, by, owner, m, needs, values[1:])
	}
	r.oweEpochs(owner, m, keys[1:]...)
	return err
}

// advance counts an invalidation of tags in the group whose turn key is, before
// their epochs are written, and returns the mark for these. A turn that cannot be
// counted begins anew, with a generation that no execution has seen.
func (r *realm) advance(ctx context.Context, by storeclient.Deadline, owner, key string, there []byte) (wire.Mark, error) {
	m, err := r.count(ctx, by, key, there)
	if err == nil {
		return m, nil
	}
	m = wire.Mark{Generation: store.NewToken()}
	if !storeclient.IsAnswer(err) && !errors.Is(err, wire.ErrUnknown) {
		r.oweEpochs(owner, m, key)
		return m, err
	}
	return m, r.setEpochs(ctx, by, owner, m, need{key: key})
}

// count counts the turn under key up, if there is one.
func (r *realm) count(ctx context.Context, by storeclient.Deadline, key string, there []byte) (m wire.Mark, err error) {
	for range maxRivals { // others may count at the same time
		last := r.lastDebtNow()
		s, err := wire.Decode(key, there)
		if err != nil {
			return m, err
		}
		m = wire.Mark{Generation: s.Mark.Generation, Count: s.Mark.Count + 1}
		if err = r.writeEpoch(ctx, by, key, there, s.Successor(m)); err == nil {
			r.forgive(key, last)
			return m, nil
		}
		if !errors.Is(err, store.ErrConflict) {
			return m, err
		}
		values, _, err := r.readNoting(ctx, by, []string{key})
		if err != nil {
			return m, err
		}
		there = values[0]
	}
	return m, store.ErrConflict
}
