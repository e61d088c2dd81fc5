package exchange

import (
	"mime/multipart"
	"net/http"
	"net/textproto"
	"slices"
	"time"

	"github.com/seed-0226adef/memo/httpcache/internal/rules"
	"github.com/seed-0226adef/memo/httpcache/internal/stored"
	"github.com/seed-0226adef/memo/httpcache/internal/stream"
)

// serve answers with the stored response, without asking anybody.
func (x *exchange) serve(v rules.Verdict, collapsed bool) {
	switch {
	case collapsed:
		x.cache.Count.Collapsed.Add(1)
	case v == rules.IsFresh:
		x.cache.Count.Hits.Add(1)
	default:
		x.cache.Count.StaleHits.Add(1)
	}
	if v == rules.IsRefreshing && x.old.StartRefresh(x.now) {
		x.refreshInBackground()
	}
	if collapsed {
		left := x.old.Now().Left(x.now)
		x.respond(x.old, &rules.CacheStatus{Forward: x.miss, HasTTL: true, TTL: left, Collapsed: true})
		return
	}
	x.respond(x.old, nil)
}

// serveStale answers with the stored response in place of an origin that failed.
func (x *exchange) serveStale() {
	x.cache.Count.StaleHits.Add(1)
	x.now = time.Now()
	x.respond(x.old, &rules.CacheStatus{Hit: true, HasTTL: true, TTL: x.old.Now().Left(x.now), Detail: "stale-if-error"})
}

// respond sends a stored response: all of it, the range that was asked for, or 304
// if the client has it (RFC 9110, section 13.2.2). said is what Cache-Status
// says; nil stands for a plain hit.
func (x *exchange) respond(rec *stored.Record, said *rules.CacheStatus) {
	h, asked, d := x.w.Header(), x.r.Header, rec.Derived()
	if rec.Status == http.StatusOK {
		switch {
		case len(asked["If-None-Match"])+len(asked["If-Modified-Since"]) > 0 && d.NotModified(asked, x.now):
			x.cache.Count.NotModified.Add(1)
			rec.SetFields(h, x.policy, x.now, d.Short, said)
			x.w.WriteHeader(http.StatusNotModified)
			return
		case len(asked["Range"]) > 0 && (x.policy.Ranges || d.Ranges) && x.respondRange(rec, said):
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
	case *stream.Pipe:
		if w.Status == 0 {
			w.WriteHeader(http.StatusOK)
		}
		w.Share(part)
	case *stream.Answer:
		w.Add(part)
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
func (x *exchange) setWhole(h http.Header, rec *stored.Record, said *rules.CacheStatus) {
	recoded := len(h["Content-Encoding"]) > 0
	rec.SetFields(h, x.policy, x.now, rec.Derived().Full, said)
	for name, values := range rec.Trailer {
		h[http.TrailerPrefix+name] = slices.Clone(values)
	}
	switch isClient := x.policy.Face == rules.TransportFace; {
	case recoded && len(rec.Header["Content-Encoding"]) == 0:
		delete(h, "Content-Length")
	case isClient || x.r.Method == http.MethodHead && len(rec.Body) <= stream.LateSize:
		if rules.HasBody(rec.Status) && len(rec.Trailer) == 0 {
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

// respondRange answers with the part of the body that was asked for, or with 416.
// It is false if the field is to be ignored (RFC 9110, section 14.2).
func (x *exchange) respondRange(rec *stored.Record, said *rules.CacheStatus) bool {
	parts, ok := x.partsOf(rec)
	if !ok {
		return false
	}
	fields := rec.Derived().Full
	if len(parts) == 0 {
		fields = rules.FieldLines{}
	}
	rec.SetFields(x.w.Header(), x.policy, x.now, fields, said)
	x.writeParts(rec.Body, parts)
	return true
}

// partsOf returns the parts of a response that the request asks for: none if it has none
// of these. It is not ok if the request asks for no parts, or the field is to be ignored.
func (x *exchange) partsOf(rec *stored.Record) (parts []rules.ByteRange, ok bool) {
	lines := x.r.Header["Range"]
	if len(lines) != 1 || x.r.Method != http.MethodGet || !rec.Derived().IfRange(x.r.Header, x.now) {
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
	if p, ok := x.w.(*stream.Pipe); ok {
		p.Pace() // or it would copy them all
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
		if to, ok := x.w.(*stream.Answer); ok { // to which w would write
			to.Add(body[part.Start:part.End])
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
		x.policy.Announce(h, &rules.CacheStatus{Forward: x.miss, Detail: "not-forwarded"})
	}
	h["Content-Type"] = []string{"text/plain; charset=utf-8"}
	h["X-Content-Type-Options"] = []string{"nosniff"}
	x.w.WriteHeader(status)
	x.w.Write([]byte(http.StatusText(status) + "\n"))
}
