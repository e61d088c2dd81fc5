package memo

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-0226adef/memo/internal/bubble"
	"github.com/seed-0226adef/memo/store"
)

// notices are what the store reported of changes.
type notices struct {
	state   atomic.Int32           // one of the states below
	era     atomic.Uint64          // counts how often reports may have been missed; copies from before are doubtful
	reports [1 << 10]atomic.Uint32 // how many there have been, by place; see of

	mu      sync.Mutex  // held while starting and stopping
	started bool        // guarded by mu; there is a subscription, or will be, or cannot be
	used    atomic.Bool // since somebody looked last
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

// notifyIdle is how long the realm goes on listening when no copies are used.
const notifyIdle = 30 * time.Second

// listen subscribes to the store's notifications, unless that was done or cannot
// be. The subscription ends when no result was looked for in the store for
// notifyIdle.
func (r *realm) listen() {
	n := &r.notices
	if n.used.Load() {
		return
	}
	n.used.Store(true)
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.started {
		return
	}
	n.started = true
	go r.subscribe()
}

// subscribe ends within the longest StoreTimeout, or a second.
func (r *realm) subscribe() {
	ctx, cancel := context.WithTimeout(context.Background(), max(r.LongestTimeout(), time.Second))
	defer cancel()
	l := &listener{realm: r}
	stop, err := l.notify(ctx)
	switch {
	case bubble.Inside() && err != nil:
		r.restart() // elsewhere there may be notifications
	case errors.Is(err, errors.ErrUnsupported): // and never will be
	case err != nil:
		time.AfterFunc(notifyIdle, r.restart)
	default:
		time.AfterFunc(notifyIdle, func() { r.relisten(l, stop) })
	}
}

// restart lets the next use try to subscribe again.
func (r *realm) restart() {
	r.notices.mu.Lock()
	defer r.notices.mu.Unlock()
	r.notices.started = false
	r.notices.used.Store(false)
}

// relisten ends the subscription if nobody used it lately.
func (r *realm) relisten(l *listener, stop func()) {
	if r.notices.used.Swap(false) {
		time.AfterFunc(notifyIdle, func() { r.relisten(l, stop) })
		return
	}
	l.deafen()
	stop()
	r.restart()
}

// A listener is a realm as one subscription sees it.
type listener struct {
	realm *realm
	mu    sync.Mutex // held while the state is changed
	deaf  bool       // guarded by mu; what still arrives is of no account
}

// notify is store.Notify, which may panic.
func (l *listener) notify(ctx context.Context) (stop func(), err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("memo: the store panicked: %v: %w", v, errors.ErrUnsupported)
		}
	}()
	return store.Notify(ctx, l.realm.Store, l.realm.prefix, l)
}

// Changed implements [store.Sink].
func (l *listener) Changed(keys []string) {
	for _, key := range keys {
		if !strings.HasPrefix(key, l.realm.prefix) {
			continue
		}
		l.realm.notices.of(key).Add(1)
		if l.realm.isEpoch(key) {
			l.realm.forgetEpoch(key)
			nextSequence(func(uint64) {}) // makes copies compare their epochs
			continue
		}
		l.realm.wake(key)
		for _, c := range l.realm.users(key) {
			c.doubt(key)
			c.forget(key)
		}
	}
}

// Suspect implements [store.Sink].
func (l *listener) Suspect() {
	l.realm.notices.era.Add(1)
	l.realm.mu.Lock()
	l.realm.distrustAll()
	l.realm.mu.Unlock()
	nextSequence(func(uint64) {})
}

// Up implements [store.Sink].
func (l *listener) Up(up bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.deaf:
		return
	case up:
		l.Suspect() // what was read before was not listened for
		l.realm.notices.state.Store(hearing)
	default:
		l.realm.notices.state.Store(broken)
	}
	nextSequence(func(uint64) {})
}

// deafen ends what the subscription is good for, before it ends.
func (l *listener) deafen() {
	l.mu.Lock()
	l.deaf = true
	l.realm.notices.state.Store(silent)
	l.mu.Unlock()
	l.Suspect()
}

// wake lets those go on who wait for a report of key.
func (r *realm) wake(key string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, w := range r.waiters[key] {
		select {
		case w <- struct{}{}:
		default: // it was woken already
		}
	}
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
