package entry

import (
	"unsafe"

	"github.com/seed-0226adef/memo/internal/fleet"
	"github.com/seed-0226adef/memo/internal/tags"
	"github.com/seed-0226adef/memo/internal/values"
)

const (
	// entryOverhead is what it takes to hold a result whatever it is, beside the memory
	// of the entry itself: its share of the tier's index, queues and frequency sketch. It was
	// measured; see TestLocalBytesBoundsTheHeap.
	entryOverhead = 32

	// copyOverhead is its share of the map of copies, for a result of a shared store.
	copyOverhead = 48
)

// Weigh returns how many bytes of the heap e takes, for LocalBytes, where t is what
// is known of its value. It is called before e can be found, and looks at the value.
func (e *Entry) Weigh(t *Typing) int64 {
	n := values.Allocated(int64(unsafe.Sizeof(*e))) + entryOverhead + values.Allocated(int64(len(e.Key))) + t.Size(t.Any(e.Value))
	r := e.rest.Load()
	if r == nil {
		return n
	}
	n += values.Allocated(int64(unsafe.Sizeof(*r)))
	n += values.Allocated(int64(cap(r.Tags)) * int64(unsafe.Sizeof(tags.Tag{})))
	n += values.Allocated(int64(cap(r.Dependencies)) * int64(unsafe.Sizeof(fleet.Dependency{})))
	if s := r.Location; s != nil {
		n += values.Allocated(int64(unsafe.Sizeof(*s))) + values.Allocated(int64(len(s.Key))) + copyOverhead
	}
	return n
}
