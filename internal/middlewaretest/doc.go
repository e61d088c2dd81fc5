// Package middlewaretest compares what clients get with a cache of package httpcache
// and without, inside and outside of the middlewares of net/http, chi, echo and gin.
// It is a module of its own, so that these are no dependencies of memo.
package middlewaretest
