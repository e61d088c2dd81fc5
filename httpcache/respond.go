package httpcache

import (
	"mime/multipart"
	"net/http"
	"net/textproto"
	"slices"
	"time"

	"github.com/seed-0226adef/memo/httpcache/internal/rules"
)

// serve answers with the stored response, without asking anybody.
func (x *exchange) serve(v rules.Verdict, collapsed bool) {
	switch {
	case collapsed:
		x.cache.count.collapsed.Add(1)
	case v == rules.IsFresh:
		x.cache.count.hits.Add(1)
	default:
		x.cache.count.staleHits.Add(1)
	}
	if v == rules.IsRefreshing && x.old.startRefresh(x.now) {
		x.refreshInBackground()
	}
	if collapsed {
		left := x.old.look().Left(x.now)
		x.respond(x.old, &rules.CacheStatus{Forward: x.miss, HasTTL: true, TTL: left, Collapsed: true})
		return
	}
	x.respond(x.old, nil)
}

// serveStale answers with the stored response in place of an origin that failed.
func (x *exchange) serveStale() {
	x.cache.count.staleHits.Add(1)
	x.now = time.Now()
	x.respond(x.old, &rules.CacheStatus{Hit: true, HasTTL: true, TTL: x.old.look().Left(x.now), Detail: "stale-if-error"})
}

// respond sends a stored response: all of it, the range that was asked for, or 304
// if the client has it (RFC 9110, section 13.2.2). said is what Cache-Status
// says; nil stands for a plain hit.
func (x *exchange) respond(rec *record, said *rules.CacheStatus) {
	h, asked, d := x.w.Header(), x.r.Header, rec.look()
	if rec.Status == http.StatusOK {
		switch {
		case len(asked["If-None-Match"])+len(asked["If-Modified-Since"]) > 0 && d.NotModified(asked, x.now):
			x.cache.count.notModified.Add(1)
			x.setFields(h, rec, d.short, said)
			x.w.WriteHeader(http.StatusNotModified)
			return
		case len(asked["Range"]) > 0 && (x.policy.Ranges || d.ranges) && x.respondRange(rec, said):
			return
		}
	}
	x.setWhole(h, rec, said)
	sends := x.r.Method != http.MethodHead && len(rec.Body) > 0
	implied := sends && rec.Status == http.StatusOK && len(h["Content-Type"]) == 0 && len(h["Content-Encoding"]) == 0
	if !implied {
		x.w.WriteHeader(rec.Status)
	}
	if sends {
		x.send(rec.Body)
	}
}

// send writes a part of a stored body. For those who read it later it is not copied.
func (x *exchange) send(part []byte) {
	switch w := x.w.(type) {
	case *pipe:
		if w.status == 0 {
			w.WriteHeader(http.StatusOK)
		}
		w.share(part)
	case *answered:
		w.add(part)
	default:
		w.Write(part)
	}
}

// setWhole puts what describes a whole response into a header. What its maker has
// left to the server, its length and its type, is left to the server again: a
// middleware outside may make another body of it. Only where the server does not
// see the body is it said here, as the server would: in answer to HEAD, and to a
// client that has none.
//
// A Content-Encoding that is there already is that of a middleware which encodes what
// is written. It spoils the length; http.ServeContent knows such ones, too.
func (x *exchange) setWhole(h http.Header, rec *record, said *rules.CacheStatus) {
	recoded := len(h["Content-Encoding"]) > 0
	x.setFields(h, rec, rec.look().full, said)
	for name, values := range rec.Trailer {
		h[http.TrailerPrefix+name] = slices.Clone(values)
	}
	switch isClient := x.policy.Face == rules.TransportFace; {
	case recoded && len(rec.Header["Content-Encoding"]) == 0:
		delete(h, "Content-Length")
	case isClient || x.r.Method == http.MethodHead && len(rec.Body) <= lateSize:
		if hasBody(rec.Status) && len(rec.Trailer) == 0 {
			h["Content-Length"] = []string{rules.Decimal(int64(len(rec.Body)))}
		}
		if !isClient {
			setType(h, rec.Body)
		}
	}
}

// setType sets the type that a body looks to have, unless there is one, as net/http
// does.
func setType(h http.Header, body []byte) {
	if _, ok := h["Content-Type"]; !ok && len(h["Content-Encoding"]) == 0 && len(body) > 0 {
		h["Content-Type"] = []string{http.DetectContentType(body)}
	}
}

// setFields puts stored fields into a header, and those that are this cache's own: Age
// (RFC 9111, section 5.1) and Cache-Status. What others have said before in Vary
// stays. All values are copies.
//
// Where memo was told how long the response is good for it, and what clients are told is
// another thing (Options.ClientTTL, or the handler's Cache-Control beside
// memo.SetTTL), the cache is a part of the origin server, which vouches for the
// response anew in each answer: its Date is now, and it has no Age. With its age in
// this cache, clients and the caches on the way to them would take it for stale.
func (x *exchange) setFields(h http.Header, rec *record, fields rules.FieldLines, said *rules.CacheStatus) {
	d, before := rec.look(), h["Vary"]
	told := x.policy.ClientControl != nil && !d.controlled
	own := rules.CutLines(fields.Values + 2 + rules.Count(told) + rules.Count(x.policy.XCache))
	for i := range fields.List {
		h[fields.List[i].Name], own = rules.Put(own, fields.List[i].Values)
	}
	if len(before) > 0 && len(d.vary) > 0 && !slices.Equal(before, d.vary) {
		h["Vary"] = slices.Clip(before)
		for _, line := range d.vary {
			if !slices.Contains(before, line) { // of what is said outside, the stored response holds a copy
				h["Vary"] = append(h["Vary"], line)
			}
		}
	}
	if told {
		h["Cache-Control"], own = rules.Put(own, x.policy.ClientControl)
	}
	vouched, name := told || rec.Given && d.controlled, "Age"
	if vouched {
		name = "Date"
	}
	s := rec.stampAt(x.policy, vouched, x.now)
	h[name], own = rules.Put(own, s.moment[:])
	if x.policy.XCache {
		h["X-Cache"], own = rules.Put(own, verdictNames[said == nil || said.Hit || said.Collapsed])
	}
	switch {
	case said == nil && len(h["Cache-Status"]) == 0:
		h["Cache-Status"], _ = rules.Put(own, s.status[:])
	case said == nil:
		h["Cache-Status"] = slices.Concat(h["Cache-Status"], s.status[:])
	default:
		x.addStatus(h, said)
	}
}

var verdictNames = map[bool][]string{true: {"HIT"}, false: {"MISS"}}

// respondRange answers with the part of the body that was asked for, or with 416.
// It is false if the field is to be ignored (RFC 9110, section 14.2).
func (x *exchange) respondRange(rec *record, said *rules.CacheStatus) bool {
	parts, ok := x.partsOf(rec)
	if !ok {
		return false
	}
	fields := rec.look().full
	if len(parts) == 0 {
		fields = rules.FieldLines{}
	}
	x.setFields(x.w.Header(), rec, fields, said)
	x.writeParts(rec.Body, parts)
	return true
}

// partsOf returns the parts of a response that the request asks for: none if it has none
// of these. It is not ok if the request asks for no parts, or the field is to be ignored.
func (x *exchange) partsOf(rec *record) (parts []rules.ByteRange, ok bool) {
	lines := x.r.Header["Range"]
	if len(lines) != 1 || x.r.Method != http.MethodGet || !rec.look().IfRange(x.r.Header, x.now) {
		return nil, false
	}
	return rules.ParseRange(lines[0], int64(len(rec.Body)))
}

// writeParts sends parts of a body whose fields are in the header already.
func (x *exchange) writeParts(body []byte, parts []rules.ByteRange) {
	h, size := x.w.Header(), int64(len(body))
	if len(parts) == 0 {
		h["Content-Range"] = []string{"bytes */" + rules.Decimal(size)}
		x.refuse(http.StatusRequestedRangeNotSatisfiable)
		return
	}
	if x.policy.Face == rules.HandlerFace {
		setType(h, body)
	}
	if len(parts) > 1 {
		x.respondParts(body, parts)
		return
	}
	part := parts[0]
	h["Content-Range"] = []string{part.ContentRange(size)}
	h["Content-Length"] = []string{rules.Decimal(part.End - part.Start)}
	x.w.WriteHeader(http.StatusPartialContent)
	x.send(body[part.Start:part.End])
}

// respondParts sends several parts as multipart/byteranges (RFC 9110, section
// 14.6).
func (x *exchange) respondParts(body []byte, parts []rules.ByteRange) {
	h := x.w.Header()
	mw := multipart.NewWriter(x.w)
	contentType := h.Get("Content-Type")
	h["Content-Type"] = []string{"multipart/byteranges; boundary=" + mw.Boundary()}
	delete(h, "Content-Length")
	x.w.WriteHeader(http.StatusPartialContent)
	if p, ok := x.w.(*pipe); ok {
		p.pace() // or it would copy them all
	}
	for _, part := range parts {
		own := textproto.MIMEHeader{"Content-Range": {part.ContentRange(int64(len(body)))}}
		if contentType != "" {
			own.Set("Content-Type", contentType)
		}
		w, err := mw.CreatePart(own)
		if err != nil {
			return
		}
		if to, ok := x.w.(*answered); ok { // to which w would write
			to.add(body[part.Start:part.End])
		} else if _, err := w.Write(body[part.Start:part.End]); err != nil {
			return
		}
	}
	mw.Close()
}

// refuse answers with an error of the cache's own.
func (x *exchange) refuse(status int) {
	h := x.w.Header()
	for _, name := range []string{"Content-Length", "Etag", "Last-Modified", "Cache-Control", "Expires"} {
		delete(h, name)
	}
	if len(h["Cache-Status"]) == 0 {
		x.announce(h, &rules.CacheStatus{Forward: x.miss, Detail: "not-forwarded"})
	}
	h["Content-Type"] = []string{"text/plain; charset=utf-8"}
	h["X-Content-Type-Options"] = []string{"nosniff"}
	x.w.WriteHeader(status)
	x.w.Write([]byte(http.StatusText(status) + "\n"))
}
