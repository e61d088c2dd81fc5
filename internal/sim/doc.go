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
// What is checked is said in package histories. Of an Expire the same is checked as of an
// Invalidate, since the functions have no stale windows; Refresh returns no version from before
// it was called.
//
// The store may lose what it likes at any time: records are evicted, and the server comes
// back empty. A server that comes back with older data is not checked until the Clear that
// docs/guarantees.md asks for then has returned.
//
// MEMO_SIM says for how long histories are run, MEMO_SIM_SEED runs one. TestEveryGuardIsNeeded
// takes guards out of the code, one by one, and wants a violation for each.
package sim
