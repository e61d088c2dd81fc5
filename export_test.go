package memo

// RaceEnabled lets the external tests know of the race detector.
const RaceEnabled = raceEnabled

// TagsHeld returns how many tags the entry for a string holds, repetitions
// included.
func TagsHeld[R any](f *Func[string, R], a string) int {
	return len(f.core.held(a).tags)
}
