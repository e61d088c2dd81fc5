package function

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-0226adef/memo/internal/engine"
	"github.com/seed-0226adef/memo/internal/nested"
)

// generation counts how often the functions of the process were made as new.
var generation atomic.Uint64

// Current reports whether the function has not been made as new since the policy was made.
func (p *Policy) Current() bool { return p.generation == generation.Load() }

// Reset makes all functions of the process as new, for tests: they hold nothing, have counted
// nothing, and read the defaults when they are next used. No call may be under way: it
// returns an error, and does nothing, if an execution is, and does not end within a second.
// (Callers have their results a moment before an execution is over.)
func Reset() error {
	for end := time.Now().Add(time.Second); engine.UnderWay.Load() > 0 && time.Now().Before(end); {
		time.Sleep(100 * time.Microsecond)
	}
	if n := engine.UnderWay.Load(); n > 0 {
		return fmt.Errorf("memo: the functions cannot be made as new, since %d executions are under way; have them end first, see memo.Drain", n)
	}
	generation.Add(1)
	defaultsRead.Store(false)
	tooLate = sync.Once{}
	for _, f := range functions.all() {
		f.reset()
	}
	return nil
}

func (f *Function) reset() {
	f.settling.Lock()
	defer f.settling.Unlock()
	f.Count.Reset()
	if f.Policy == nil {
		return
	}
	f.Policy = nil
	if Resolve(f.own).Group == nil { // the defaults may name another one
		f.Space = nil
		f.join(nil)
	}
	f.Cache.Reset()
}

// Forget makes this a program that has made no groups, has marked no context, and has
// logged neither a SetDefault that came too late nor a hint that was lost. It is for memo's own
// tests.
func Forget() {
	marking.Store(false)
	nested.ForgetHints()
	tooLate = sync.Once{}
	outermost.mu.Lock()
	defer outermost.mu.Unlock()
	clear(outermost.of)
}
