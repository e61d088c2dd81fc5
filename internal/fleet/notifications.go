package fleet

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

// notifications are what the store reported of changes.
type notifications struct {
	State      atomic.Int32           // one of the states below
	Generation atomic.Uint64          // counts how often reports may have been missed; copies from before are doubtful
	reports    [1 << 10]atomic.Uint32 // how many there have been, by place; see of

	mu      sync.Mutex  // held while starting and stopping
	started bool        // guarded by mu; there is a subscription, or will be, or cannot be
	used    atomic.Bool // since somebody looked last
}

// The states of a keyspace's notifications.
const (
	silent    = iota // none: the store cannot notify, or has not begun to
	Connected        // every change is reported
	Broken           // the connection is lost
)

var reportSeed = maphash.MakeSeed()

// Of returns the count of reports of the keys that share key's place.
func (n *notifications) Of(key string) *atomic.Uint32 {
	return &n.reports[maphash.String(reportSeed, key)%uint64(len(n.reports))]
}

// notifyIdle is how long the keyspace goes on listening when no copies are used.
const notifyIdle = 30 * time.Second

// Subscribe subscribes to the store's notifications, unless that was done or cannot
// be. The subscription ends when no result was looked for in the store for
// notifyIdle. It does the same with buses; there what a copy needs counts as well.
func (k *Keyspace) Subscribe() {
	for _, s := range k.seatsNow() {
		s.Listen()
	}
	n := &k.Notifications
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
	go k.subscribe()
}

// subscribe ends within the longest StoreTimeout, or a second.
func (k *Keyspace) subscribe() {
	ctx, cancel := context.WithTimeout(context.Background(), max(k.LongestTimeout(), time.Second))
	defer cancel()
	l := &subscription{keyspace: k}
	stop, err := l.notify(ctx)
	switch {
	case bubble.Inside() && err != nil:
		k.restart() // elsewhere there may be notifications
	case errors.Is(err, errors.ErrUnsupported): // and never will be
	case err != nil:
		time.AfterFunc(notifyIdle, k.restart)
	default:
		time.AfterFunc(notifyIdle, func() { k.renewSubscription(l, stop) })
	}
}

// restart lets the next use try to subscribe again.
func (k *Keyspace) restart() {
	k.Notifications.mu.Lock()
	defer k.Notifications.mu.Unlock()
	k.Notifications.started = false
	k.Notifications.used.Store(false)
}

// renewSubscription ends the subscription if nobody used it lately.
func (k *Keyspace) renewSubscription(l *subscription, stop func()) {
	if k.Notifications.used.Swap(false) {
		time.AfterFunc(notifyIdle, func() { k.renewSubscription(l, stop) })
		return
	}
	l.mute()
	stop()
	k.restart()
}

// A subscription is a keyspace as one subscription sees it.
type subscription struct {
	keyspace *Keyspace
	mu       sync.Mutex // held while the state is changed
	muted    bool       // guarded by mu; what still arrives is of no account
}

// notify is store.Notify, which may panic.
func (l *subscription) notify(ctx context.Context) (stop func(), err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("memo: the store panicked: %v: %w", v, errors.ErrUnsupported)
		}
	}()
	return store.Notify(ctx, l.keyspace.Store, l.keyspace.Prefix, l)
}

// Changed implements [store.Sink].
func (l *subscription) Changed(keys []string) { l.keyspace.Changed(keys) }

// Changed notes that a change of each of the keys was reported, by the store or by a bus.
func (k *Keyspace) Changed(keys []string) {
	for _, key := range keys {
		if !strings.HasPrefix(key, k.Prefix) {
			continue
		}
		k.Notifications.Of(key).Add(1)
		if k.isEpoch(key) {
			k.forgetEpoch(key)
			k.epochsChanged()
			continue
		}
		k.wake(key)
		for _, m := range k.membersAt(key) {
			m.On.Changed(key)
		}
	}
}

// Suspect implements [store.Sink].
func (l *subscription) Suspect() { l.keyspace.suspect() }

// suspect makes all copies doubtful, and has all epochs read again.
func (k *Keyspace) suspect() {
	k.Notifications.Generation.Add(1)
	k.mu.Lock()
	k.distrustAll()
	k.mu.Unlock()
	k.epochsChanged()
}

// Up implements [store.Sink].
func (l *subscription) Up(up bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.muted:
		return
	case up:
		l.Suspect() // what was read before was not listened for
		l.keyspace.Notifications.State.Store(Connected)
	default:
		l.keyspace.Notifications.State.Store(Broken)
	}
	l.keyspace.epochsChanged()
}

// mute ends what the subscription is good for, before it ends.
func (l *subscription) mute() {
	l.mu.Lock()
	l.muted = true
	l.keyspace.Notifications.State.Store(silent)
	l.mu.Unlock()
	l.Suspect()
}

// wake lets those go on who wait for a report of key.
func (k *Keyspace) wake(key string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, w := range k.waiters[key] {
		select {
		case w <- struct{}{}:
		default: // it was woken already
		}
	}
}

// Watch returns a channel that receives when a change of key is reported, until
// unwatch is called.
func (k *Keyspace) Watch(key string) (changed <-chan struct{}, unwatch func()) {
	c := make(chan struct{}, 1)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.waiters[key] = append(k.waiters[key], c)
	return c, func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		left := k.waiters[key][:0:0]
		for _, w := range k.waiters[key] {
			if w != c {
				left = append(left, w)
			}
		}
		if k.waiters[key] = left; len(left) == 0 {
			delete(k.waiters, key)
		}
	}
}
