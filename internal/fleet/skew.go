package fleet

import "time"

// skewMemory is how long a clock that was found to be behind is taken to be so.
const skewMemory = int64(time.Minute)

// NoteSkew notes that a result in the store was made ahead nanoseconds after what
// is now by this process's clock.
func (k *Keyspace) NoteSkew(t, ahead int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if ahead >= k.behind || t >= k.behindUntil {
		k.behind, k.behindUntil = ahead, t+skewMemory
	}
}

// Skew returns by how much this process's clock is known to be behind.
func (k *Keyspace) Skew(t int64) time.Duration {
	k.mu.Lock()
	defer k.mu.Unlock()
	if t >= k.behindUntil {
		return 0
	}
	return time.Duration(k.behind)
}
