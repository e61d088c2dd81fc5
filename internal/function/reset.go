package function

import "sync"

// Forget makes this a program that has made no groups, has never called WithBypass, and
// has logged no SetDefault that came too late. It is for tests.
func Forget() {
	bypasses.Store(false)
	tooLate = sync.Once{}
	outermost.mu.Lock()
	defer outermost.mu.Unlock()
	clear(outermost.of)
}
