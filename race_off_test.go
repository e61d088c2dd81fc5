//go:build !race

package memo

// raceEnabled says that the test runs under the race detector, which makes
// everything slower and allocates for itself.
const raceEnabled = false
