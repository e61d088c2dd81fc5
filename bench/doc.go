// Package bench measures memo beside other caches for Go. It holds nothing but
// tests: README.md says what is measured and how, and cmd/ratios prints it.
package bench
