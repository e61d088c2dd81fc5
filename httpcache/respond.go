package httpcache

import (
	"mime/multipart"
	"net/http"
	"net/textproto"
	"slices"
	"time"
)

// serve answers with the stored response, without asking anybody.
func (x *exchange) serve(v verdict, collapsed bool) {
	switch {
	case collapsed:
		x.cache.count.collapsed.Add(1)
	case v == isFresh:
		x.cache.count.hits.Add(1)
	default:
		x.cache.count.staleHits.Add(1)
	}
	if v == isRefreshing && x.old.startRefresh(x.now) {
		x.refreshInBackground()
	}
	if collapsed {
		left := x.old.look().left(x.now)
		x.respond(x.old, &cacheStatus{forward: x.miss, hasTTL: true, ttl: left, collapsed: true})
		return
	}
	x.respond(x.old, nil)
}

// serveStale answers with the stored response in place of an origin that failed.
func (x *exchange) serveStale() {
	x.cache.count.staleHits.Add(1)
	x.now = time.Now()
	x.respond(x.old, &cacheStatus{hit: true, hasTTL: true, ttl: x.old.look().left(x.now), detail: "stale-if-error"})
}

// respond sends a stored response: all of it, the range that was asked for, or 304
// if the client has it (RFC 9110, section 13.2.2). said is what Cache-Status
// says; nil stands for a plain hit.
func (x *exchange) respond(rec *record, said *cacheStatus) {
	h, asked, d := x.w.Header(), x.r.Header, rec.look()
	x.stamp(h, rec, said)
	if rec.Status == http.StatusOK {
		switch {
		case len(asked["If-None-Match"])+len(asked["If-Modified-Since"]) > 0 && d.notModified(asked, x.now):
			x.cache.count.notModified.Add(1)
			x.setFields(h, d.short, d)
			x.w.WriteHeader(http.StatusNotModified)
			return
		case len(asked["Range"]) > 0 && x.respondRange(rec):
			return
		}
	}
	x.setFields(h, d.full, d)
	for name, values := range rec.Trailer {
		h[http.TrailerPrefix+name] = values
	}
	x.w.WriteHeader(rec.Status)
	if x.r.Method != http.MethodHead && len(rec.Body) > 0 {
		x.w.Write(rec.Body)
	}
}

// stamp sets the fields that are this cache's own: Age (RFC 9111, section 5.1) and
// Cache-Status.
func (x *exchange) stamp(h http.Header, rec *record, said *cacheStatus) {
	s := rec.stampAt(x.policy, x.now)
	h["Age"] = s.age
	switch {
	case said == nil && len(h["Cache-Status"]) == 0:
		h["Cache-Status"] = s.status
	case said == nil:
		h["Cache-Status"] = append(slices.Clip(h["Cache-Status"]), s.status...)
	default:
		x.announce(h, said)
	}
	if x.policy.xCache {
		h["X-Cache"] = verdictNames[said == nil || said.hit || said.collapsed]
	}
}

var verdictNames = map[bool][]string{true: {"HIT"}, false: {"MISS"}}

// setFields puts stored fields into a header. Their values are shared and have no
// room to grow, so whoever adds to them makes a copy. What others have said
// before in Vary stays.
func (x *exchange) setFields(h http.Header, fields []line, d *derived) {
	before := h["Vary"]
	for i := range fields {
		h[fields[i].name] = fields[i].values
	}
	if len(before) > 0 && len(d.vary) > 0 && !slices.Equal(before, d.vary) {
		h["Vary"] = slices.Concat(before, d.vary)
	}
	if x.policy.clientControl != nil && !d.controlled {
		h["Cache-Control"] = x.policy.clientControl
	}
}

// respondRange answers with the part of the body that was asked for, or with 416.
// It is false if the field is to be ignored (RFC 9110, section 14.2).
func (x *exchange) respondRange(rec *record) bool {
	d, lines := rec.look(), x.r.Header["Range"]
	if len(lines) != 1 || x.r.Method != http.MethodGet || !d.ifRange(x.r.Header, x.now) {
		return false
	}
	size := int64(len(rec.Body))
	parts, ok := parseRange(lines[0], size)
	if !ok {
		return false
	}
	h := x.w.Header()
	x.setFields(h, d.full, d)
	switch len(parts) {
	case 0:
		h["Content-Range"] = []string{"bytes */" + decimal(size)}
		x.refuse(http.StatusRequestedRangeNotSatisfiable)
	case 1:
		part := parts[0]
		h["Content-Range"] = []string{part.contentRange(size)}
		h["Content-Length"] = []string{decimal(part.end - part.start)}
		x.w.WriteHeader(http.StatusPartialContent)
		x.w.Write(rec.Body[part.start:part.end])
	default:
		x.respondParts(rec, parts)
	}
	return true
}

// respondParts sends several parts as multipart/byteranges (RFC 9110, section
// 14.6).
func (x *exchange) respondParts(rec *record, parts []byteRange) {
	h := x.w.Header()
	mw := multipart.NewWriter(x.w)
	contentType := h.Get("Content-Type")
	h["Content-Type"] = []string{"multipart/byteranges; boundary=" + mw.Boundary()}
	delete(h, "Content-Length")
	x.w.WriteHeader(http.StatusPartialContent)
	for _, part := range parts {
		own := textproto.MIMEHeader{"Content-Range": {part.contentRange(int64(len(rec.Body)))}}
		if contentType != "" {
			own.Set("Content-Type", contentType)
		}
		w, err := mw.CreatePart(own)
		if err != nil {
			return
		}
		if _, err := w.Write(rec.Body[part.start:part.end]); err != nil {
			return
		}
	}
	mw.Close()
}

// refuse answers with an error of the cache's own.
func (x *exchange) refuse(status int) {
	h := x.w.Header()
	for _, name := range []string{"Content-Length", "Content-Encoding", "Etag", "Last-Modified", "Cache-Control", "Expires"} {
		delete(h, name)
	}
	if len(h["Cache-Status"]) == 0 {
		x.announce(h, &cacheStatus{forward: x.miss, detail: "not-forwarded"})
	}
	h["Content-Type"] = []string{"text/plain; charset=utf-8"}
	h["X-Content-Type-Options"] = []string{"nosniff"}
	x.w.WriteHeader(status)
	x.w.Write([]byte(http.StatusText(status) + "\n"))
}
