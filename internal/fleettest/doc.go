// Package fleettest holds nothing but tests: of what memo promises to a fleet of
// processes that share a store. They need real servers, processes of their own and
// faults in between, and so more time and more dependencies than memo's own tests.
package fleettest
