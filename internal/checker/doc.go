// Package checker has tests only: random histories of a fleet of operating system processes on
// real servers, behind proxies that delay and cut, where processes are killed; checked against a
// database as package histories says.
//
// The database is a folder with a file for each key, which the test replaces. Functions read
// it. CHECK says for how long histories are run in all, MEMO_CHECK_SEED with which seed: that
// tells what was done, in which order it was tried, and not how fast the machine was.
package checker
