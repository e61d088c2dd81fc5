package function

import (
	"maps"
	"runtime"
	"slices"
	"sync"
	"weak"
)

// A roll lists what there is of a kind in the process, in the order in which it was made.
// To be on it keeps nothing alive.
type roll[T any] struct {
	mu   sync.Mutex
	last uint64                     // guarded by mu; the number of the newest
	of   map[uint64]weak.Pointer[T] // guarded by mu; by number
}

// enter puts v on the roll, until it is struck off or collected.
func (r *roll[T]) enter(v *T) (number uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.of == nil {
		r.of = map[uint64]weak.Pointer[T]{}
	}
	r.last++
	r.of[r.last] = weak.Make(v)
	runtime.AddCleanup(v, r.strike, r.last)
	return r.last
}

func (r *roll[T]) strike(number uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.of, number)
}

// all returns those that are in use.
func (r *roll[T]) all() (all []*T) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, number := range slices.Sorted(maps.Keys(r.of)) {
		if v := r.of[number].Value(); v != nil {
			all = append(all, v)
		}
	}
	return all
}
