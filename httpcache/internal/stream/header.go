package stream

import (
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/seed-0226adef/memo/httpcache/internal/rules"
)

// A handler for whom a drain may write has a header of its own, from the beginning: it
// may hold on to the map that Header has given it, and writers that stand outside of
// the cache, such as those that compress, change the client's header in Write. The
// client's becomes what the handler's is when it is to be sent; later only trailers
// follow, when the drain has ended.
//
// All other handlers have the client's header for theirs.

// separate gives the handler a header of its own, if it needs one.
func (rec *Recorder) separate() {
	if rec.mayDrain() {
		rec.header, rec.same = http.Header{}, rec.initial
		replace(rec.header, rec.initial)
	}
}

// Header returns the handler's header.
func (rec *Recorder) Header() http.Header {
	if rec.header == nil || rec.over {
		return rec.ResponseWriter.Header()
	}
	return rec.header
}

// Show makes the client's header what the handler's is.
func (rec *Recorder) Show() {
	if rec.header != nil {
		replace(rec.ResponseWriter.Header(), rec.header)
	}
}

// recall makes the handler's header what the client's is.
func (rec *Recorder) recall() {
	if rec.header != nil {
		rec.same = rec.ResponseWriter.Header().Clone()
		replace(rec.header, rec.same)
	}
}

// gather takes over what has changed in the client's header. There are adapters whose
// writers write by way of the recorder, and give handlers the header of the writer
// outside, which without a cache is the same.
func (rec *Recorder) gather() {
	if rec.header == nil {
		return
	}
	h := rec.ResponseWriter.Header()
	for name, lines := range h {
		if before, ok := rec.same[name]; !ok || !slices.Equal(before, lines) {
			rec.header[name] = slices.Clone(lines)
		}
	}
	for name := range rec.same {
		if _, ok := h[name]; !ok {
			delete(rec.header, name)
		}
	}
}

// replace makes of h what other is, with values of its own.
func replace(h, other http.Header) {
	clear(h)
	maps.Copy(h, other.Clone())
}

// Leave has the recorder do nothing any more but pass on. What the handler leaves in
// its header reaches the client's: all of it if nothing has been sent, else trailers.
func (rec *Recorder) Leave() {
	switch {
	case rec.header == nil, rec.Mode == Holding:
	case !rec.Wrote:
		rec.gather()
		rec.Show()
	default:
		rec.showTrailers()
	}
	rec.over = true
}

func (rec *Recorder) showTrailers() {
	h := rec.ResponseWriter.Header()
	for name := range rules.Members(rec.header["Trailer"]) {
		name = http.CanonicalHeaderKey(name)
		if lines := rec.header[name]; len(lines) > 0 {
			h[name] = slices.Clone(lines)
		}
	}
	for name, lines := range rec.header {
		if strings.HasPrefix(name, http.TrailerPrefix) {
			h[name] = slices.Clone(lines)
		}
	}
}

// OwnHeader returns the fields that the handler itself has set: not those that
// were there before and are as they were. Those belong to this request. What is
// said of caching counts whoever has said it. The values are copies: those in the
// header may be rewritten on their way out. Names are in canonical form, whatever the
// handler wrote: ETag is Etag here.
func (rec *Recorder) OwnHeader() http.Header {
	h := rec.Header()
	own := make(http.Header, len(h))
	for written, lines := range h {
		name := http.CanonicalHeaderKey(written)
		if before, ok := rec.initial[written]; !ok || rec.policy.Governs(name) || !slices.Equal(before, lines) {
			own[name] = slices.Concat(own[name], lines)
		}
	}
	return own
}

// ResetHeader takes back what the handler has put into the header.
func (rec *Recorder) ResetHeader() {
	replace(rec.ResponseWriter.Header(), rec.initial)
	rec.recall()
}

// Trailer returns the trailer fields that the handler has set by now: the ones
// that it announced, and those with http.TrailerPrefix.
func (rec *Recorder) Trailer() http.Header {
	t := http.Header{}
	if rec.header != nil && rec.drain == nil { // see gather
		rec.addTrailer(t, rec.ResponseWriter.Header())
	}
	rec.addTrailer(t, rec.Header())
	if len(t) == 0 {
		return nil
	}
	return t
}

// addTrailer adds to t the trailer fields in h.
func (rec *Recorder) addTrailer(t, h http.Header) {
	for name := range rules.Members(rec.Reply.Header["Trailer"]) {
		name = http.CanonicalHeaderKey(name)
		if lines := h[name]; len(lines) > 0 && len(rec.Reply.Header[name]) == 0 {
			t[name] = slices.Clone(lines)
		}
	}
	for name, lines := range h {
		if name, ok := strings.CutPrefix(name, http.TrailerPrefix); ok {
			t[name] = slices.Clone(lines)
		}
	}
}
