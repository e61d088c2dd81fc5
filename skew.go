package memo

import "time"

// skewMemory is how long a clock that was found to be behind is taken to be so.
const skewMemory = int64(time.Minute)

// noteSkew notes that a result in the store was made ahead nanoseconds after what
// is now by this process's clock.
func (r *realm) noteSkew(t, ahead int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if ahead >= r.behind || t >= r.behindUntil {
		r.behind, r.behindUntil = ahead, t+skewMemory
	}
}

// skew returns by how much this process's clock is known to be behind.
func (r *realm) skew(t int64) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	if t >= r.behindUntil {
		return 0
	}
	return time.Duration(r.behind)
}
