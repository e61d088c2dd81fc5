// Package refuse says why the arguments of a store's method are not sent to its
// server, in the same words for every store. What it returns wraps
// [store.ErrRefused].
package refuse

import (
	"fmt"
	"time"

	"github.com/seed-0226adef/memo/store"
)

// TTL returns an error if ttl is negative.
func TTL(ttl time.Duration) error {
	if ttl < 0 {
		return fmt.Errorf("%w: a ttl of %v is negative; 0 means no expiry", store.ErrRefused, ttl)
	}
	return nil
}

// Value returns an error if value is longer than limit, which the option sets.
func Value(value []byte, limit int, option string) error {
	if len(value) > limit {
		return fmt.Errorf("%w: the value is %d bytes, and the server takes %d (%s)", store.ErrRefused, len(value), limit, option)
	}
	return nil
}

// Keys returns those of keys that check lets pass, each once and in the order of
// their first appearance, and the errors of those that it does not. The slice
// is the caller's.
func Keys(keys []string, check func(key string) error) (passed []string, errs store.KeyErrors) {
	passed = make([]string, 0, len(keys))
	seen := make(map[string]bool, len(keys))
	for _, key := range keys {
		if seen[key] {
			continue
		}
		seen[key] = true
		err := check(key)
		if errs.Add(key, err); err == nil {
			passed = append(passed, key)
		}
	}
	return passed, errs
}
