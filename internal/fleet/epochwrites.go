package fleet

import (
	"context"
	"errors"
	"iter"
	"strings"
	"sync"
	"time"

	"github.com/seed-0226adef/memo/internal/keys"
	"github.com/seed-0226adef/memo/internal/storeclient"
	"github.com/seed-0226adef/memo/internal/wire"
	"github.com/seed-0226adef/memo/store"
)

// Keys of epochs and counters have no name after the prefix, where those of results
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

// A Change is what a new epoch does to the results that record the one before: they are
// invalid or, if it Expires, used as long as their stale windows last.
type Change struct {
	Mark    wire.Mark // of the new epoch
	Expires bool
}

// follow returns a new epoch in the place of old, which may be nil.
func (c Change) follow(old *wire.Record) *wire.Record {
	if c.Expires {
		return old.Expiring(c.Mark)
	}
	return old.Successor(c.Mark)
}

// metBy reports whether now, which has come in the place of the epoch before, does as much to the
// results that record that.
func (c Change) metBy(now *wire.Record, before store.Token) bool {
	_, expired := wire.WhenExpired(now.Former, before)
	return now.Epoch != before && now.Mark.Follows(c.Mark) && (c.Expires || !expired)
}

// SetEpochs draws new epochs for needs and writes them, within what is left
// altogether. What does not reach the store is pending, for owner, as an invalidation; in
// this process the new epochs hold either way.
func (k *Keyspace) SetEpochs(ctx context.Context, by storeclient.Deadline, owner string, c Change, needs ...Need) error {
	keys := make([]string, len(needs))
	for i, n := range needs {
		keys[i] = n.Key
	}
	values, _, err := k.Read(ctx, by, keys)
	if err != nil {
		k.addPendingEpochs(owner, c.Mark, keys...)
		return err
	}
	return k.replaceEpochs(ctx, by, owner, c, needs, values)
}

// replaceEpochs is setEpochs where the store was asked what there is.
func (k *Keyspace) replaceEpochs(ctx context.Context, by storeclient.Deadline, owner string, c Change, needs []Need, there [][]byte) error {
	errs, last := make([]error, len(needs)), k.LastPending()
	var wg sync.WaitGroup
	slots := make(chan struct{}, storeclient.MaxWrites)
	for i, n := range needs {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			c := c
			c.Expires = c.Expires && !k.hasPending(n.Key)
			if errs[i] = k.beginEpoch(ctx, by, c, n, there[i]); errs[i] != nil {
				k.addPendingEpochs(owner, c.Mark, n.Key)
			} else {
				k.Acknowledge(n.Key, last)
				k.Publish(n.Key)
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

// MaxRivals is how often in a row others may change an epoch before a process that is
// to replace it counts that as a failure.
const MaxRivals = 16

// beginEpoch replaces the epoch under n's key, where there is what the store has just
// told, by a new one in which n's version is listed. It is also content with one that
// somebody else has drawn after that, if it does as much.
//
// A write of it that arrives late, or twice, changes nothing: it finds another token.
func (k *Keyspace) beginEpoch(ctx context.Context, by storeclient.Deadline, c Change, n Need, there []byte) error {
	var first store.Token
	for attempt := range MaxRivals {
		old, _ := wire.Decode(n.Key, there)
		switch {
		case old == nil:
		case attempt == 0:
			first = old.Epoch
		case c.metBy(old, first):
			k.forgetEpoch(n.Key)
			return nil
		}
		next := c.follow(old)
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

// InvalidateTags draws new epochs for tags of a group, and counts its counter before,
// within limit altogether. If it only expires, results that record the ones before are of use
// while they are stale. When an operation of the counter has failed, the epochs are
// pending without an attempt.
func (k *Keyspace) InvalidateTags(ctx context.Context, limit time.Duration, expires bool, path string, tags []string) error {
	owner, counter := k.EpochKey("tags", path, ""), k.EpochKey("turn", path, "")
	keys, needs := []string{counter}, []Need(nil)
	for _, tag := range tags {
		n := Need{Key: k.EpochKey("tag", path, tag)}
		keys, needs = append(keys, n.Key), append(needs, n)
	}
	by := storeclient.DeadlineIn(limit)
	values, _, err := k.Read(ctx, by, keys)
	var m wire.Mark
	if err == nil {
		m, err = k.countUp(ctx, by, owner, counter, values[0])
	} else {
		m = wire.Mark{Generation: store.NewToken()}
		k.addPendingEpochs(owner, m, counter)
	}
	if err == nil {
		return k.replaceEpochs(ctx, by, owner, Change{m, expires}, needs, values[1:])
	}
	k.addPendingEpochs(owner, m, keys[1:]...)
	return err
}

// countUp counts an invalidation of tags in the group whose counter key is, before
// their epochs are written, and returns the mark for these. A counter that cannot be
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
	return m, k.SetEpochs(ctx, by, owner, Change{Mark: m}, Need{Key: key})
}

// count counts the counter under key up, if there is one.
func (k *Keyspace) count(ctx context.Context, by storeclient.Deadline, key string, there []byte) (m wire.Mark, err error) {
	for range MaxRivals { // others may count at the same time
		last := k.LastPending()
		s, err := wire.Decode(key, there)
		if err != nil {
			return m, err
		}
		m = wire.Mark{Generation: s.Mark.Generation, Count: s.Mark.Count + 1}
		if err = k.writeEpoch(ctx, by, key, there, s.Successor(m)); err == nil {
			k.Acknowledge(key, last)
			k.Publish(key)
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
		counter := k.EpochKey("turn", p, "")
		needs = append(needs, Need{Key: k.EpochKey("tag", p, tag), Counter: counter}, Need{Key: k.EpochKey("tags", p, ""), Counter: counter})
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
