// Package histories says whether what processes of a fleet have returned violates what memo
// guarantees: it is what package sim, whose processes are simulated, and package checker, whose
// processes and servers are real, have in common.
//
// A [World] is a database whose keys have versions that only rise, and what was done to caches
// of it. An invalidation covers the versions from before it began. A read that returns a covered
// version is a violation if it began, after the invalidation had returned,
//
//   - in the same process: at once, whether or not the store could be told;
//   - where the store had to confirm it, and had been told: at once;
//   - otherwise, where the store had been told: after [Trust], and twice that for what is made of
//     other results: once for the caller who joins, once for the copy that was joined to.
package histories

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// Trust is the longest that a process may go by what it knows of a store: for the second for
// which epochs are trusted. Copies have to have a LocalTTL of no more.
const Trust = time.Second

// A World is the database that functions read, what was invalidated, and the verdict. All methods
// are safe for concurrent use.
type World struct {
	Slack time.Duration // how much later than it should a process may do something; set before use

	mu       sync.Mutex
	began    time.Time
	versions map[string]int64 // guarded by mu; of each key
	floors   []floor          // guarded by mu
	log      []event          // guarded by mu
	excused  []span           // guarded by mu; when reads are not checked
	wrong    string           // guarded by mu; the first violation
	reads    int              // guarded by mu
}

// A span is a time, which may not be over yet.
type span struct{ from, to time.Time }

// A floor is what an invalidation comes to: no result of the function for the key may be of an
// older version.
type floor struct {
	function, key string
	version       int64
	by            int       // the process
	at            time.Time // when it had returned
	told          bool      // the store had heard of it
	why           int       // of the event
}

// An event is one operation of a process.
type event struct {
	from, to time.Time
	process  int
	what     string
	key      string
	result   string
}

// New makes a world whose keys have version zero.
func New() *World { return &World{began: time.Now(), versions: map[string]int64{}} }

// Read returns the version of a key.
func (w *World) Read(key string) int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.versions[key]
}

// Write makes the next version of a key.
func (w *World) Write(key string) int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.versions[key]++
	return w.versions[key]
}

// note notes an operation that has ended just now.
func (w *World) note(from time.Time, process int, what, key, result string) int {
	w.log = append(w.log, event{from, time.Now(), process, what, key, result})
	return len(w.log) - 1
}

// Invalidated notes an invalidation that began then, of what is under these functions and keys
// and older than versions.
func (w *World) Invalidated(from time.Time, process int, what string, functions []string, versions map[string]int64, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	keys := []string{}
	for key, v := range versions {
		keys = append(keys, fmt.Sprintf("%s=%d", key, v))
	}
	slices.Sort(keys)
	why := w.note(from, process, what, strings.Join(keys, " "), fmt.Sprint(err))
	for _, f := range functions {
		for key, v := range versions {
			w.floors = append(w.floors, floor{f, key, v, process, time.Now(), err == nil, why})
		}
	}
}

// bound returns for how long after an invalidation in another process a function may return
// what that has overtaken. That of the name outer is made of other results.
func (w *World) bound(function string) time.Duration {
	if function == "outer" {
		return 2*Trust + w.Slack
	}
	return Trust + w.Slack
}

// Check notes a read that began then, and checks what it has returned. confirmed says that the
// store had to confirm it.
func (w *World) Check(from time.Time, process int, what, function, key string, version int64, err error, confirmed bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	result := fmt.Sprint(version)
	if err != nil {
		result = err.Error()
	}
	this := w.note(from, process, what+" "+function, key, result)
	if err != nil || w.isExcused(from) {
		return
	}
	w.reads++
	for _, f := range w.floors {
		if f.function != function || f.key != key || version >= f.version {
			continue
		}
		since := from.Sub(f.at)
		switch {
		case since < 0:
			continue
		case f.by == process:
		case !f.told, !confirmed && since < w.bound(function):
			continue
		}
		if w.wrong == "" {
			w.wrong = fmt.Sprintf("#%d returned version %d, begun %v after #%d had overtaken what is older than %d", this, version, since, f.why, f.version)
		}
	}
}

// Newer checks that a call which had to execute anew has returned nothing older than version.
func (w *World) Newer(from time.Time, process int, what, function, key string, got, version int64, err error) {
	w.Check(from, process, what, function, key, got, err, true)
	w.mu.Lock()
	defer w.mu.Unlock()
	if err == nil && got < version && w.wrong == "" {
		w.wrong = fmt.Sprintf("#%d returned version %d, and there was version %d when it began", len(w.log)-1, got, version)
	}
}

// isExcused reports whether a read that began then, and has ended now, is not checked.
func (w *World) isExcused(from time.Time) bool {
	return slices.ContainsFunc(w.excused, func(s span) bool { return s.to.IsZero() || from.Before(s.to) })
}

// Excuse has nothing checked from now on, until the end that it returns has been called and
// others have seen what was done by then.
func (w *World) Excuse() (end func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	i := len(w.excused)
	w.excused = append(w.excused, span{from: time.Now()})
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.excused[i].to = time.Now().Add(2 * Trust)
	}
}

// Say notes something that happens to a process.
func (w *World) Say(process int, what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.note(time.Now(), process, what, "", "")
}

// Verdict returns the first violation, empty without one, and how many reads were checked.
func (w *World) Verdict() (wrong string, reads int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.wrong, w.reads
}

// String returns the operations in the order in which they have ended.
func (w *World) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var b strings.Builder
	at := func(t time.Time) string { return fmt.Sprintf("%.6f", t.Sub(w.began).Seconds()) }
	for i, e := range w.log {
		fmt.Fprintf(&b, "#%-3d %s-%s P%d %s %s: %s\n", i, at(e.from), at(e.to), e.process, e.what, e.key, e.result)
	}
	return b.String()
}
