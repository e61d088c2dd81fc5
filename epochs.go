package memo

import (
	"context"
	"errors"
	"maps"
	"math"
	"strings"
	"sync"
	"time"

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
	token store.Token // the epoch
	mark  mark
	at    int64  // when the store was asked; forever while the store still has to be told, unknown if it has to be asked
	order uint64 // what the store was asked before is not believed against this; see sending
	known int64  // when the store had answered
	used  int64  // when it was last needed
}

// unknown is the time of a reading that only says which others to refuse.
const unknown = math.MinInt64

// current reports whether the reading may be used at t.
func (r *reading) current(t int64) bool {
	return r.at != unknown && t < after(r.at, epochTrust)
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
	if t > after(e.at, epochRenewal) && !r.renewing {
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
		if e.at != unknown && e.at < t && e.used >= e.at && len(keys) < maxGathered {
			keys = append(keys, key)
		}
	}
	r.mu.Unlock()
	if len(keys) > 0 {
		if values, sent, err := r.readNoting(context.Background(), deadlineIn(r.patience()), keys); err == nil {
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
func (r *realm) readNoting(ctx context.Context, by deadline, keys []string) ([][]byte, sending, error) {
	s := sending{at: now(), order: r.lastOrder(), era: r.notices.era.Load(), reports: make([]uint32, len(keys))}
	for i, key := range keys {
		s.reports[i] = r.notices.of(key).Load()
	}
	values, err := r.read(ctx, by, keys)
	return values, s, err
}

// noteEpochs remembers the epochs among what was read.
func (r *realm) noteEpochs(keys []string, values [][]byte, sent sending) {
	for i, key := range keys {
		if s, err := decodeEntry(key, values[i]); err == nil && (s.kind == kindEpoch || s.kind == kindTurn) {
			r.noteEpoch(key, reading{token: s.token, mark: s.mark, at: sent.at, order: sent.order, known: now()})
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
	if e.order < r.floor || known && (old.at == forever || old.order > e.order || old.at > e.at) {
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
	case old.at == forever:
	case old.order > e.order || r.floor > e.order:
		r.distrust(key)
	default:
		r.order++
		e.order, e.used, e.known = r.order, old.used, now()
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
	r.remember(key, reading{at: unknown, order: r.order})
}

// distrustAll does so for all epochs but those that are owed. The caller holds r.mu.
func (r *realm) distrustAll() {
	r.order++
	r.floor = r.order
	maps.DeleteFunc(r.readings, func(_ string, e reading) bool { return e.at != forever })
}

// forgetEpoch makes the next need of key ask the store. An epoch that the store
// still has to be told stays.
func (r *realm) forgetEpoch(key string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.readings[key].at != forever {
		r.distrust(key)
	}
}

// A need is an epoch that somebody needs to know.
type need struct {
	key  string
	turn string // the key of the turn that its mark is of; empty for one without a mark
}

// ensure makes sure that there are current readings of all needs, and returns
// them. Where the store holds nothing, an epoch is drawn: never a fixed one, for
// then results of an epoch that the store has dropped would be valid again.
func (r *realm) ensure(ctx context.Context, by deadline, needs []need) (map[string]reading, error) {
	found := make(map[string]reading, len(needs))
	for range contradictions {
		var missing []need
		var keys []string
		for _, n := range needs {
			if e, ok := r.epoch(n.key, now()); ok {
				if found[n.key] = e; e.at == forever {
					return nil, errOwed
				}
			} else if _, ok := found[n.key]; !ok {
				missing, keys = append(missing, n), append(keys, n.key)
			}
		}
		if len(missing) == 0 {
			return found, nil
		}
		values, sent, err := r.readNoting(ctx, by, keys)
		if err != nil {
			return nil, err
		}
		r.noteEpochs(keys, values, sent)
		var wg sync.WaitGroup
		slots, errs := make(chan struct{}, maxWriting), make([]error, len(missing))
		for i, n := range missing {
			if s, err := decodeEntry(n.key, values[i]); err == nil {
				found[n.key] = reading{token: s.token, mark: s.mark, at: sent.at, known: now()}
				continue
			}
			slots <- struct{}{}
			wg.Go(func() {
				defer func() { <-slots }()
				errs[i] = r.draw(ctx, by, n, values[i])
			})
		}
		wg.Wait()
		if err := errors.Join(errs...); err != nil {
			return nil, err
		}
	}
	return nil, errUnsettled
}

// errOwed is why nothing is stored at the moment: the store has not heard yet that
// all there is of a function, or what has a tag, is invalid.
var errOwed = errors.New("memo: an invalidation has not reached the store yet")

// errUnsettled is reported when others keep changing what a process tries to
// agree on with them. It counts as a store out of order for the one call.
var errUnsettled = errors.New("memo: the epochs in the store keep changing")

// draw adds a new epoch for n, where the store holds there. That another process was
// faster is no error. In this process all flights of a batch draw at once, when their
// function is new to the store: those whose turn comes later find it done.
func (r *realm) draw(ctx context.Context, by deadline, n need, there []byte) error {
	m := mark{}
	switch {
	case n.turn != "": // which has to be at least as late as the store's losing the epoch
		values, _, err := r.readNoting(ctx, by, []string{n.turn})
		if err != nil {
			return err
		}
		if s, err := decodeEntry(n.turn, values[0]); err == nil {
			m = s.mark
		}
	case r.isTurn(n.key):
		m.generation = store.NewToken()
	}
	if err := r.takeTurn(ctx, by); err != nil {
		return err
	}
	defer r.endTurn()
	if _, known := r.epoch(n.key, now()); known {
		return nil
	}
	e, value := r.newEpoch(n.key, m)
	e.at, e.order = now(), r.nextOrder()
	err := r.try(ctx, by.remaining(), func(ctx context.Context) error {
		if there != nil { // no epoch: nobody can use it
			if err := r.store.Delete(ctx, n.key); err != nil {
				return err
			}
		}
		return r.store.Add(ctx, n.key, value, r.epochTTL(n.key))
	})
	switch {
	case err == nil:
		r.wrote(n.key, e)
	case errors.Is(err, store.ErrExists):
		err = nil
	}
	return err
}

// newEpoch draws an epoch or, under the key of a turn, a turn.
func (r *realm) newEpoch(key string, m mark) (reading, []byte) {
	s := &stored{token: store.NewToken(), kind: kindEpoch, mark: m}
	if r.isTurn(key) {
		s.kind = kindTurn
	}
	value, _ := s.encode(key, nil) // which fails only for results
	return reading{token: s.token, mark: m}, value
}

// tagEpochTTL is how long the store keeps the epoch of a tag, so that tags that
// nobody uses any more do not fill it. When it has gone, the tag's results are
// executed again. Clear's epochs and turns, one for each function and group, stay.
const tagEpochTTL = 30 * 24 * time.Hour

func (r *realm) epochTTL(key string) time.Duration {
	if strings.HasPrefix(key[len(r.prefix):], ":tag:") {
		return tagEpochTTL
	}
	return 0
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
	b = append(appendEscaped(b, path), ':')
	b = appendEscaped(b, tag)
	if len(b) > maxSharedKey {
		b = appendHash(b[:head], string(b[head:]))
	}
	return string(b)
}

func (r *realm) isEpoch(key string) bool {
	rest, ok := strings.CutPrefix(key, r.prefix)
	return ok && strings.HasPrefix(rest, ":")
}

func (r *realm) isTurn(key string) bool { return strings.HasPrefix(key[len(r.prefix):], ":turn:") }

// setEpochs draws new epochs under keys and writes them, by the deadline. What does not reach the store is owed by owner; in this process the
// new epochs hold either way.
func (r *realm) setEpochs(ctx context.Context, by deadline, owner string, m mark, keys ...string) error {
	errs := make([]error, len(keys))
	var wg sync.WaitGroup
	slots := make(chan struct{}, maxWriting)
	for i, key := range keys {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			errs[i] = r.setEpoch(ctx, by.remaining(), owner, m, key)
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// maxWriting is how many writes of one call are under way at once.
const maxWriting = 16

// setEpoch is setEpochs for one key, as Clear wants it.
func (r *realm) setEpoch(ctx context.Context, limit time.Duration, owner string, m mark, key string) error {
	e, value := r.newEpoch(key, m)
	e.at, e.order = now(), r.nextOrder()
	last := r.lastDebtNow()
	err := r.try(ctx, limit, func(ctx context.Context) error {
		return r.store.Set(ctx, key, value, r.epochTTL(key))
	})
	if err != nil {
		r.owe(key, debt{epoch: true, mark: m, owner: owner}, &e)
		return err
	}
	r.forgive(key, last)
	r.wrote(key, e)
	return nil
}

// invalidateTags draws new epochs for tags of a group, and counts its turn before,
// within limit altogether. When an operation of the turn has failed, the epochs are
// owed without an attempt.
func (r *realm) invalidateTags(ctx context.Context, limit time.Duration, path string, tags []string) error {
	owner, turn := r.epochKey("tags", path, ""), r.epochKey("turn", path, "")
	keys := make([]string, len(tags))
	for i, tag := range tags {
		keys[i] = r.epochKey("tag", path, tag)
	}
	by := deadlineIn(limit)
	m, err := r.advance(ctx, by, owner, turn)
	if err == nil {
		return r.setEpochs(ctx, by, owner, m, keys...)
	}
	for _, key := range keys {
		e, _ := r.newEpoch(key, m)
		r.owe(key, debt{epoch: true, mark: m, owner: owner}, &e)
	}
	return err
}

// advance counts an invalidation of tags in the group whose turn key is, before
// their epochs are written, and returns the mark for these. A turn that cannot be
// counted begins anew, with a generation that no execution has seen.
func (r *realm) advance(ctx context.Context, by deadline, owner, key string) (mark, error) {
	m, err := r.count(ctx, by, key)
	if err == nil {
		return m, nil
	}
	m = mark{generation: store.NewToken()}
	if !isAnswer(err) && !errors.Is(err, errForeign) {
		e, _ := r.newEpoch(key, m)
		r.owe(key, debt{epoch: true, mark: m, owner: owner}, &e)
		return m, err
	}
	return m, r.setEpoch(ctx, by.remaining(), owner, m, key)
}

// count counts the turn under key up, if there is one.
func (r *realm) count(ctx context.Context, by deadline, key string) (m mark, err error) {
	for range 3 { // others may count at the same time
		last := r.lastDebtNow()
		values, _, err := r.readNoting(ctx, by, []string{key})
		if err != nil {
			return m, err
		}
		s, err := decodeEntry(key, values[0])
		if err != nil {
			return m, err
		}
		m = mark{s.mark.generation, s.mark.count + 1}
		e, value := r.newEpoch(key, m)
		e.at, e.order = now(), r.nextOrder()
		err = r.try(ctx, by.remaining(), func(ctx context.Context) error { return r.store.Swap(ctx, key, s.token, value, 0) })
		if err == nil {
			r.forgive(key, last)
			r.wrote(key, e)
			return m, nil
		}
		if !errors.Is(err, store.ErrConflict) {
			return m, err
		}
	}
	return m, store.ErrConflict
}
