package fleet

import (
	"log/slog"
	"slices"

	"github.com/seed-0226adef/memo/internal/busclient"
	"github.com/seed-0226adef/memo/store"
)

// By a bus, processes tell each other what they have changed in a store that cannot tell. What
// comes by a bus has copies dropped and epochs read again, as reports of the store have. It says
// nothing of what has not changed: it may be lost, so no copy is trusted for longer because
// there is a bus.
//
// What is published has been acknowledged by the store before: who hears of it finds what
// the change has left behind. A result where none was is not published, since nobody has a
// copy; nor is an epoch that stays the same, or was drawn where the store had lost one.

// Attach has the keyspace publish on b and listen to it, beside those that it is at already.
// It does nothing if b is nil.
func (k *Keyspace) Attach(b store.Bus) {
	if b == nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	seats := k.seatsNow()
	if slices.ContainsFunc(seats, func(s *busclient.Seat) bool { return s.At(b) }) {
		return
	}
	seats = append(slices.Clone(seats), busclient.Take(b, k.Prefix, busclient.Events{
		Changed: k.Changed,
		Begun:   k.suspect,
		Logger:  func() *slog.Logger { return k.Logger() },
	}))
	k.seats.Store(&seats)
}

// seatsNow returns the keyspace's places at buses, which are not changed.
func (k *Keyspace) seatsNow() []*busclient.Seat {
	if seats := k.seats.Load(); seats != nil {
		return *seats
	}
	return nil
}

// Publish tells other processes, by the buses that the keyspace is at, that what the store holds
// under keys has changed. It waits for nothing.
func (k *Keyspace) Publish(keys ...string) {
	if len(keys) == 0 {
		return
	}
	for _, s := range k.seatsNow() {
		s.Publish(keys...)
	}
}
