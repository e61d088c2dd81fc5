// Package sim has tests only: histories of a fleet of processes on a store behind a network
// that loses, delays, repeats and reorders, in virtual time, checked against a database.
//
// Each history is one testing/synctest bubble. In it run the real functions of several
// processes, each with groups, results and a store client of its own; see link for what
// is between them and the server.
//
// Every delay and fault of the network, and every step of a client, is drawn from the seed of
// the history. A seed gives the same fleet and the same plan, but not always the same history:
// the code under test draws numbers of its own, such as how long it waits for another's lease,
// and goroutines that are ready at one instant take the next numbers of their process's network
// in any order. Of 60 seeds that were run twice, 13 gave the same history to the nanosecond. A
// seed that has found something may have to be run several times (go test -count) to do it again.
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
