// Package sim has tests only: histories of a fleet of processes on a store behind a network
// that loses, delays, repeats and reorders, in virtual time, checked against a database.
//
// Each history is one testing/synctest bubble. In it run the real functions of several
// processes, each with groups, results and a store client of its own; see link for what
// is between them and the server. Every delay and every fault is drawn from the seed of the
// history, so that the same seed takes the same course, as far as Go runs goroutines that
// are ready at one instant in the same order: instants are drawn to the nanosecond, so that
// few are.
//
// # What is checked
//
// The database has a version of each key, which only rises. fn returns the version that it has
// read. An invalidation covers the versions from before it began. A read that returns a covered
// version is a violation if it began, after the invalidation had returned,
//
//   - in the same process: at once, whether or not the store could be told;
//   - under WithMaxAge(0), where the store was told: at once;
//   - otherwise, where the store was told: after the longer of LocalTTL and the second for which
//     epochs are trusted (for what is made of other results, twice as long: once for
//     the caller who joins, once for the copy that was joined to).
//
// Refresh returns no version from before it was called. Of an Expire the same is checked as
// of an Invalidate, where the function has no stale window.
//
// The store may lose what it likes at any time: records are evicted, and the server comes
// back empty. A server that comes back with older data is not checked until the Clear that
// docs/guarantees.md asks for then has returned.
//
// MEMO_SIM says for how long histories are run, MEMO_SIM_SEED runs one. TestEveryGuardIsNeeded
// takes guards out of the code, one by one, and wants a violation for each.
package sim
