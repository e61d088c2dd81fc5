package stream

import "github.com/seed-0226adef/memo/httpcache/internal/stored"

// MakeRoom makes room in the copy for n bytes more, and reports whether there was any
// to be had. It counts the old copy beside the new one as long as both are held.
func (rec *Recorder) MakeRoom(n int64) bool {
	size := int64(cap(rec.Body))
	need := int64(len(rec.Body)) + n
	if need <= size {
		return true
	}
	grown := max(need, min(2*size, rec.policy.MaxBody), stored.MinCopy)
	if rec.Declared >= need {
		grown = min(rec.Declared, rec.policy.MaxBody)
	}
	if !rec.owner.Reserve(grown) {
		return false
	}
	rec.Body = append(make([]byte, 0, grown), rec.Body...)
	if rec.drain == nil { // or it may be writing what it has of the old one
		rec.owner.Unreserve(size)
	}
	return true
}
