package rules

import (
	"net/textproto"
	"slices"
	"strings"
	"time"
)

// A Policy is what one face of a cache, a handler or a transport, goes by.
type Policy struct {
	Face Face

	Shared, StoreSetCookie, CollapsePersonal, IgnoreRequests bool
	SortQuery, XCache, KeepTags, Ranges                      bool

	Credentials map[string]bool // by canonical names

	TTL, HeuristicMax, StaleIfError, KeepStale time.Duration
	WaitTimeout                                time.Duration // negative for no limit
	MaxBody, MaxRequestBody                    int64

	ClientControl []string // Cache-Control for responses without one; may be nil
	Identity      string
	Targets       []string
	Methods       []string
	IgnoreParams  []string
	Extra         ExtraKey
}

func CanonicalNames(names []string) []string {
	out := make([]string, len(names))
	for i, name := range names {
		out[i] = textproto.CanonicalMIMEHeaderKey(strings.TrimSpace(name))
	}
	slices.Sort(out)
	return slices.Compact(out)
}
