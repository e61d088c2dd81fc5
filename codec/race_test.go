//go:build race

package codec_test

// The race detector makes sync.Pool drop what it is given at random.
func init() { raceEnabled = true }
