package memo

// RaceEnabled lets the external tests know of the race detector.
const RaceEnabled = raceEnabled
