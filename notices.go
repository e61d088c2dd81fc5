package memo

import (
	"context"
	"errors"
	"hash/maphash"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-0226adef/memo/store"
)

// notices are what the store reported of changes.
type notices struct {
	state   atomic.Int32 // one of the states below
	era     atomic.Uint64
	reports [1 << 10]atomic.Uint32

	mu      sync.Mutex // held while starting and stopping
	started bool       // guarded by mu
	stop    func()     // guarded by mu; nil while there is no subscription
	used    atomic.Bool
}

// The states of a realm's notifications.
const (
	silent  = iota // none: the store cannot notify, or has not begun to
	hearing        // every change is reported
	broken         // the connection is lost
)

var reportSeed = maphash.MakeSeed()

// of returns the count of reports of the keys that share key's place.
func (n *notices) of(key string) *atomic.Uint32 {
	return &n.reports[maphash.String(reportSeed, key)%uint64(len(n.reports))]
}

// A localCopy says where this process holds a copy of a shared result.
type localCopy struct {
	core  *core
	entry *entry
}

// noteCopy notes that c holds e, to be found when a change is reported.
func (r *realm) noteCopy(c *core, e *entry) {
	if r.notices.state.Load() == silent {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.copies[e.share.key] = localCopy{c, e}
	if e.retired() { // evicted before it got there
		delete(r.copies, e.share.key)
	}
}

// dropCopy notes that e is not held any more.
func (r *realm) dropCopy(e *entry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.copies[e.share.key].entry == e {
		delete(r.copies, e.share.key)
	}
}

// notifyIdle is how long the realm goes on listening when no copies are used.
const notifyIdle = 30 * time.Second

// listen subscribes to the store's notifications, unless that was done or cannot
// be. The subscription ends when no result was looked for in the store or held
// for notifyIdle.
func (r *realm) listen() {
	n := &r.notices
	n.used.Store(true)
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.started {
		return
	}
	n.started = true
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 4*defaultStoreTimeout)
		defer cancel()
		stop, err := store.Notify(ctx, r.store, r.prefix, (*listener)(r))
		if err != nil {
			if !errors.Is(err, errors.ErrUnsupported) {
				time.AfterFunc(notifyIdle, r.hushed)
			}
			return
		}
		n.mu.Lock()
		defer n.mu.Unlock()
		n.stop = stop
		time.AfterFunc(notifyIdle, r.relisten)
	}()
}

// hushed lets the next use try to subscribe again.
func (r *realm) hushed() {
	r.notices.mu.Lock()
	defer r.notices.mu.Unlock()
	r.notices.started = false
}

// relisten ends the subscription if nobody used it lately.
func (r *realm) relisten() {
	n := &r.notices
	if n.used.Swap(false) {
		time.AfterFunc(notifyIdle, r.relisten)
		return
	}
	n.mu.Lock()
	stop := n.stop
	n.stop = nil
	n.mu.Unlock()
	if stop == nil {
		return
	}
	(*listener)(r).Suspect()
	n.state.Store(silent)
	stop()
	r.hushed()
}

// A listener is a realm as the store's notifications see it.
type listener realm

// Changed implements [store.Sink].
func (l *listener) Changed(keys []string) {
	r := (*realm)(l)
	for _, key := range keys {
		if !strings.HasPrefix(key, r.prefix) {
			continue
		}
		r.notices.of(key).Add(1)
		if r.isEpoch(key) {
			r.forgetEpoch(key)
			nextSequence(func(uint64) {}) // makes copies compare their epochs
			continue
		}
		r.mu.Lock()
		held, ok := r.copies[key]
		for _, w := range r.waiters[key] {
			select {
			case w <- struct{}{}:
			default:
			}
		}
		r.mu.Unlock()
		if ok {
			held.core.forget(held.entry.key, key)
		}
	}
}

// Suspect implements [store.Sink].
func (l *listener) Suspect() {
	r := (*realm)(l)
	r.notices.era.Add(1)
	r.mu.Lock()
	maps.DeleteFunc(r.readings, func(_ string, e reading) bool { return e.at != forever })
	r.mu.Unlock()
	nextSequence(func(uint64) {})
}

// Up implements [store.Sink].
func (l *listener) Up(up bool) {
	state := int32(broken)
	if up {
		state = hearing
	}
	(*realm)(l).notices.state.Store(state)
	nextSequence(func(uint64) {})
}

// watch returns a channel that receives when a change of key is reported, until
// unwatch is called.
func (r *realm) watch(key string) (changed <-chan struct{}, unwatch func()) {
	c := make(chan struct{}, 1)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.waiters[key] = append(r.waiters[key], c)
	return c, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		left := r.waiters[key][:0:0]
		for _, w := range r.waiters[key] {
			if w != c {
				left = append(left, w)
			}
		}
		if r.waiters[key] = left; len(left) == 0 {
			delete(r.waiters, key)
		}
	}
}
