package sim

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// localTTL is for how long copies are trusted; trust is the longest of that and of what epochs
// are trusted for.
const (
	localTTL = 700 * time.Millisecond
	trust    = time.Second
)

// A world is the database that functions read, what was invalidated, and the verdict.
type world struct {
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

func newWorld() *world { return &world{began: time.Now(), versions: map[string]int64{}} }

// read returns the version of a key.
func (w *world) read(key string) int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.versions[key]
}

// write makes the next version of a key.
func (w *world) write(key string) int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.versions[key]++
	return w.versions[key]
}

// note notes an operation that has ended just now.
func (w *world) note(from time.Time, process int, what, key, result string) int {
	w.log = append(w.log, event{from, time.Now(), process, what, key, result})
	return len(w.log) - 1
}

// invalidated notes an invalidation that began then, of what is under these functions and keys
// and older than versions.
func (w *world) invalidated(from time.Time, process int, what string, functions []string, versions map[string]int64, err error) {
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
// what that has overtaken.
func bound(function string) time.Duration {
	if function == "outer" {
		return 2 * trust
	}
	return trust
}

// check notes a read that began then, and checks what it has returned. confirmed says that the
// store had to confirm it.
func (w *world) check(from time.Time, process int, what, function, key string, version int64, err error, confirmed bool) {
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
		case !f.told, !confirmed && since < bound(function):
			continue
		}
		if w.wrong == "" {
			w.wrong = fmt.Sprintf("#%d returned version %d, begun %v after #%d had overtaken what is older than %d", this, version, since, f.why, f.version)
		}
	}
}

// newer checks that a call which had to execute anew has returned nothing older than version.
func (w *world) newer(from time.Time, process int, what, function, key string, got, version int64, err error) {
	w.check(from, process, what, function, key, got, err, true)
	w.mu.Lock()
	defer w.mu.Unlock()
	if err == nil && got < version && w.wrong == "" {
		w.wrong = fmt.Sprintf("#%d returned version %d, and there was version %d when it began", len(w.log)-1, got, version)
	}
}

// isExcused reports whether a read that began then, and has ended now, is not checked.
func (w *world) isExcused(from time.Time) bool {
	return slices.ContainsFunc(w.excused, func(s span) bool { return s.to.IsZero() || from.Before(s.to) })
}

// excuse has nothing checked from now on, until the end that it returns has been called and
// others have seen what was done by then.
func (w *world) excuse() (end func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	i := len(w.excused)
	w.excused = append(w.excused, span{from: time.Now()})
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.excused[i].to = time.Now().Add(2 * trust)
	}
}

// String returns the operations, the last of many.
func (w *world) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var b strings.Builder
	at := func(t time.Time) string { return fmt.Sprintf("%.6f", t.Sub(w.began).Seconds()) }
	for i, e := range w.log {
		fmt.Fprintf(&b, "#%-3d %s-%s P%d %s %s: %s\n", i, at(e.from), at(e.to), e.process, e.what, e.key, e.result)
	}
	return b.String()
}
