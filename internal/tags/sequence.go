package tags

import (
	"sync"
	"sync/atomic"
)

// A Sequence number orders invalidations and executions within the process:
// every Clear and every InvalidateTags takes the next one, and every execution
// notes, before it starts, the last one taken. A result is overtaken when
// something that it belongs to was invalidated after its execution had noted
// its number. That comparison needs no lock at publication and no walk over
// entries: it is made when a result is looked at.
//
// Results also remember at which number they were last found valid, so that a
// hit compares one word. Any Clear or InvalidateTags in the process makes the
// next hit of each result look again, once.
var Sequence atomic.Uint64

// NextSequence takes the next number and hands it to note, which records what
// was invalidated. The number is published only afterwards, so whoever has seen
// it sees the record.
func NextSequence(note func(seq uint64)) {
	sequenceMu.Lock()
	defer sequenceMu.Unlock()
	seq := Sequence.Load() + 1
	note(seq)
	Sequence.Store(seq)
}

var sequenceMu sync.Mutex // held while a number is taken
