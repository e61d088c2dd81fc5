package bench

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
)

// heldResults is how many results are held while their memory is measured: of int64, under
// strings of 20 bytes.
const heldResults = 500_000

// BenchmarkHeld measures the heap that a result takes, its key included, and how long the
// garbage collector takes with that many of them: that is the time.
func BenchmarkHeld(b *testing.B) {
	for _, p := range shuffled(hitPeers[:sizedPeers]) {
		b.Run("peer="+p.name, func(b *testing.B) {
			before := heap()
			look := p.ofString(b, ownKeys(), nil)
			bytes := float64(heap()-before) / heldResults
			b.ResetTimer()
			for range b.N {
				runtime.GC()
			}
			b.ReportMetric(bytes, "B/result")
			runtime.KeepAlive(look)
		})
	}
}

// ownKeys makes keys that nobody but the caches keeps.
func ownKeys() []string {
	keys := make([]string, heldResults)
	for i := range keys {
		keys[i] = strings.Clone(fmt.Sprintf("user/profile/%07d", i))
	}
	return keys
}

func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
