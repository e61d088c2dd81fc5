// Package store defines what memo asks of a shared tier: five operations on
// keys and bytes, each of which a cache server can do atomically.
//
// # The operations
//
// A [Store] maps keys to bytes for a while. Get and Set are what every cache
// has. Add, which writes only where nothing is, and Swap, which replaces only
// what the caller has seen, are what lets many processes agree: one of them
// adds a placeholder and computes, and its result is stored only if the
// placeholder is still there. Delete removes a value, after which those who saw
// it can no longer replace it.
//
// # Tokens
//
// Servers disagree on what a version is: memcached hands out a number, Redis
// has none, DynamoDB compares attributes. So the version travels in the value.
// The writer draws a [Token] at random and puts it in front; Swap compares
// those 16 bytes and nothing else. A store needs no version column, and a value
// that was deleted and written again never passes for the old one.
//
// # Abilities
//
// What only some servers can do is an interface of its own beside a function
// that works, or says that it cannot, with every Store: [GetMulti], [Ping],
// [Notify] and [Shard]. Callers use the functions and never assert types. A Store that wraps
// another one keeps its abilities by implementing the interface and calling the
// function on the inner one.
//
// # Writing one
//
// Package storetest checks an implementation against every sentence of this
// contract; package memstore is the reference to read.
package store

import (
	"context"
	"errors"
	"time"
)

// MaxKeyLen is the length in bytes of the longest key that every [Store]
// accepts. It is memcached's limit (KEY_MAX_LENGTH in its protocol.txt), the
// smallest among the servers in use.
const MaxKeyLen = 250

var (
	// ErrNotFound is returned by [Store.Get] when nothing is under the key.
	ErrNotFound = errors.New("memo: store: no value under the key")

	// ErrExists is returned by [Store.Add] when a value is already under the key.
	ErrExists = errors.New("memo: store: a value is already under the key")

	// ErrConflict is returned by [Store.Swap] when what is under the key is not
	// the value that the caller has seen.
	ErrConflict = errors.New("memo: store: the value under the key is another one")

	// ErrRefused is wrapped by the errors that concern this key or this value only,
	// and that repeating the call would not cure: a negative ttl, a key or a value above
	// a limit, a value under the key that the store did not write (in Redis one of
	// another type), a key that the user may not touch. It tells a caller that counts
	// failures that the server is well: the next key may be fine.
	//
	// A write that returns it has changed nothing, except a Set that was refused for
	// the size of its value.
	ErrRefused = errors.New("memo: store: refused")

	// ErrReadOnly is wrapped by the errors of a write that the server refuses for now,
	// whatever the key and the value, while it still answers reads: it is full and
	// evicts nothing, it is a replica, the user may not write. Nothing was changed.
	// If reads fail as well, it is another error.
	ErrReadOnly = errors.New("memo: store: the server refuses writes")
)

// A Store keeps bytes under keys for a while, on behalf of many processes.
//
// All methods are safe for concurrent use, by goroutines and by processes.
//
// Contexts:
//   - A context that is done makes any method return an error that wraps the
//     context's, before the store is touched.
//   - A context that ends during a call makes the method return soon, also
//     where the client underneath does not take contexts. The call may then
//     have taken place or not.
//
// Keys:
//   - Any key of 1 to [MaxKeyLen] bytes of printable ASCII without spaces
//     (0x21 to 0x7e) is accepted, and different keys never meet.
//   - Other keys are accepted and kept apart just so, or refused with an
//     error wrapping [ErrRefused]. They are never cut short or rewritten.
//
// Values:
//   - Any bytes of at least [TokenSize] are accepted, up to the limit that the
//     store documents, and come back as they were. Shorter and longer values
//     are kept whole or refused with an error wrapping [ErrRefused].
//   - The store does not modify value, and does not retain it after the method
//     has returned.
//
// Expiry:
//   - A ttl counts from the moment of the write. Zero means no expiry.
//   - A negative ttl is refused with an error wrapping [ErrRefused], and what
//     is under the key stays as it was.
//   - A store with a coarse clock rounds up: a value may live up to three ticks
//     longer than its ttl, but never shorter, and a ttl of less than one tick
//     still ends.
//   - From its expiry on, a value is absent for every method, whether or not the
//     server has got round to removing it.
//
// Errors: [ErrNotFound], [ErrExists] and [ErrConflict] are answers, and mean
// that nothing was changed, as do [ErrRefused] and [ErrReadOnly]. They may come
// wrapped; callers use [errors.Is]. Any other error of a write leaves open
// whether it took place, because a lost reply looks the same as a lost request;
// it says that the server is ill, or the way to it, and callers may leave the
// whole store alone for a while. So an error that concerns one key must wrap
// ErrRefused.
//
// A call that begins after a write has returned sees what was written, in any
// process. A server whose replicas may lag must be read where it is written: leases
// depend on it.
//
// A Store does not promise to keep anything. It may drop any value at any time,
// to make room or in a restart; it need not order writes under different keys;
// it is no place for data that exists nowhere else.
type Store interface {
	// Get returns the value under key, or [ErrNotFound].
	// The caller owns the returned slice and may modify it.
	Get(ctx context.Context, key string) ([]byte, error)

	// Set writes value under key and makes ttl its expiry, whatever was there.
	// The replacement is atomic: a concurrent Get returns the old value or the
	// new one, whole.
	//
	// A Set that is refused for the size of value may leave the old value or
	// none, as the server does.
	Set(ctx context.Context, key string, value []byte, ttl time.Duration) error

	// Add writes value under key if nothing is there, and returns [ErrExists]
	// if something is. Of any number of concurrent Adds to an absent key
	// exactly one writes.
	Add(ctx context.Context, key string, value []byte, ttl time.Duration) error

	// Swap writes value under key and makes ttl its expiry, but only if the
	// value there begins with old; otherwise, also when nothing is there or
	// fewer than [TokenSize] bytes, it returns [ErrConflict].
	// Comparing and writing are one atomic step: of any number of concurrent
	// Swaps of one token exactly one writes, provided that the values they write
	// begin with other tokens.
	//
	// The old expiry does not survive: a ttl of zero leaves none.
	Swap(ctx context.Context, key string, old Token, value []byte, ttl time.Duration) error

	// Delete removes whatever is under keys. An absent key is not an error, nor
	// are no keys at all, nor is the same key twice.
	//
	// After an error some of keys may be gone and others not; deleting them
	// all again is safe. After a [*KeysError] all are gone except those that it names.
	// The keys are not removed in one atomic step.
	Delete(ctx context.Context, keys ...string) error
}
