package function

import "sync"

// Forget makes this a program that has made no groups, has marked no context, and
// has logged no SetDefault that came too late. It is for tests.
func Forget() {
	marking.Store(false)
	tooLate = sync.Once{}
	outermost.mu.Lock()
	defer outermost.mu.Unlock()
	clear(outermost.of)
}
