// Package stored is what a cache holds of HTTP responses.
//
//   - A Record is what is held under one key: a response; an index, which says by which request
//     fields the responses of a resource vary; or a note that they cannot be shared.
//   - Records holds them under keys, in this process and perhaps in a store.
//   - A Run is one execution of a handler or a round trip, for everyone who waits for it.
//   - Patterns are purges that name no single resource. Purges counts all, so that what is stored
//     beside a run can tell whether one has come in between.
//   - An Account bounds the bytes that requests hold beside what is stored.
//
// The package knows records, how a request makes their keys, and the engine that holds them. It
// does not know who asks for a record, nor what is done with it.
package stored

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"maps"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/seed-0226adef/memo/httpcache/internal/rules"
)

// A Record is what the cache holds under one key: a response, or what has to be
// known to find one. Records are immutable; what goes out of them is shared.
type Record struct {
	Kind kind

	// Of an index: the request fields that the resource's responses vary by, and
	// a random number that is part of its variants' keys. When the index is
	// dropped, the next has another, so that all variants are dropped with it.
	Names      []string
	Generation string

	// Of a response.
	Status  int
	Header  http.Header // as clients get it, with Date, without Age
	Body    []byte
	Trailer http.Header // nil where there is none
	Born    int64       // life.born, in nanoseconds since 1970
	Life    int64       // life.lifetime, in nanoseconds
	Made    int64       // when the record was made, in nanoseconds since 1970
	Targets []string    // the targeted fields that were obeyed
	Shared  bool        // made by a shared cache's rules
	OwnETag bool        // the cache made the ETag
	Given   bool        // the handler gave the lifetime by memo.SetTTL, for this cache alone
	Assumed bool        // nobody gave the lifetime: it is the options', or a guess

	Log        string // the log of patterns when the handler began; see mark
	Seq        uint64
	version    uint64                  `memo:"-"`
	derived    atomic.Pointer[Derived] `memo:"-"`
	refreshing atomic.Int64            `memo:"-"` // see [Record.StartRefresh]
}

type kind uint8

const (
	Response kind = iota + 1
	// An Index stands under a resource's key when what is under it depends on
	// more than that.
	Index
	// A Pass says that the resource's responses cannot be shared: for a moment,
	// nobody waits for anybody.
	Pass
)

// Derived is what follows from a response and is needed at every use of it.
type Derived struct {
	rules.Terms
	rules.Validators
	Full       rules.FieldLines         // the fields of the response itself
	Short      rules.FieldLines         // those of a 304 in its place
	vary       []string                 // what both have in Vary
	controlled bool                     // the response has a Cache-Control of its own
	compared   atomic.Uint64            // the version up to which patterns were compared
	expired    atomic.Int64             // when it was expired, in nanoseconds since 1970; zero if it was not
	tags       atomic.Pointer[[]string] // those of the cache, once it was found; nil without any
	Ranges     bool                     // whose maker answers requests for a Range
	stamp      atomic.Pointer[stamp]
	lending    lending
}

// A stamp is what changes from second to second in the responses made from a
// record.
type stamp struct {
	second int64
	moment [1]string // its Age; the Date, which is now, of one that has none
	status [1]string
}

// mark returns what the response knows of patterns.
func (r *Record) mark() rules.Mark { return rules.Mark{Version: r.version, Log: r.Log, Seq: r.Seq} }

// Derived returns what follows from the response.
func (r *Record) Derived() *Derived {
	if d := r.derived.Load(); d != nil {
		return d
	}
	r.derived.CompareAndSwap(nil, r.derive())
	return r.derived.Load()
}

func (r *Record) derive() *Derived {
	born := time.Unix(0, r.Born)
	made := time.Unix(0, r.Made)
	cc, _ := rules.ResponseDirectives(r.Header, r.Targets)
	if r.Given {
		cc.Has &^= rules.NoCache // which is for others
	}
	rec := rules.Reception{Header: r.Header, Received: made}
	d := &Derived{
		Terms:      rules.Terms{Life: rules.Life{Born: born, Lifetime: time.Duration(r.Life)}, CacheControl: cc, Status: r.Status},
		Validators: rules.Validators{ETag: r.Header.Get("Etag"), Text: r.Header.Get("Last-Modified"), Date: rec.Date()},
	}
	d.Authorizes = cc.Any(rules.Public | rules.MustRevalidate | rules.SMaxAge)
	d.Modified, _ = rec.DateField("Last-Modified")
	d.Ranges = rules.HasMember(r.Header["Accept-Ranges"], "bytes")
	d.vary, d.controlled = r.Header["Vary"], len(r.Header["Cache-Control"]) > 0
	d.Full, d.Short = rules.LinesOf(r.Header, func(name string) (in, inShort bool) {
		if rules.IsCookieField(name) && !r.Shared {
			return false, false // an older version has stored it
		}
		return true, isInNotModified(name) && (name != "Last-Modified" || d.ETag == "" || r.OwnETag)
	})
	return d
}

// Now returns the terms on which the response may be used, as far as it has expired.
func (r *Record) Now() *rules.Terms {
	d := r.Derived()
	at := d.expired.Load()
	if at == 0 {
		return &d.Terms
	}
	t := d.Terms
	t.Lifetime = min(t.Lifetime, t.Age(time.Unix(0, at)))
	return &t
}

// expire notes that the response has expired then, if that is not zero. The first time counts.
func (d *Derived) expire(at int64) {
	if old := d.expired.Load(); at != 0 && (old == 0 || at < old) {
		d.expired.Store(at)
	}
}

// tagNames returns the tags of the cache that the response is found by.
func (d *Derived) tagNames() []string {
	if names := d.tags.Load(); names != nil {
		return *names
	}
	return nil
}

// Hidden returns what the fields that are not exported lead to, when the response has
// been used; see [values.Weigher].
func (r *Record) Hidden(allocated func(int64) int64) int64 {
	if r == nil || r.Kind != Response {
		return 0
	}
	const moment, status = 16, 64 // bytes of text, or nearly so
	return allocated(int64(unsafe.Sizeof(Derived{}))) + allocated(int64(len(r.Header))*int64(unsafe.Sizeof(rules.Line{}))) +
		allocated(int64(unsafe.Sizeof(stamp{}))) + moment + status
}

// inNotModified are the fields that a 304 response has if the 200 response had
// them (RFC 9110, section 15.4.5), and those that stand in for them.
// Last-Modified is sent where there is no ETag.
var inNotModified = map[string]bool{
	"Cache-Control": true, "Cdn-Cache-Control": true, "Content-Location": true, "Date": true,
	"Etag": true, "Expires": true, "Last-Modified": true, "Vary": true,
}

// isInNotModified reports whether a 304 has a field: by the RFC, or because it says
// what a browser may do with the answer at hand, as CORS does.
func isInNotModified(name string) bool {
	return inNotModified[name] || strings.HasPrefix(name, "Access-Control-") || strings.HasPrefix(name, "Cross-Origin-") || name == "Timing-Allow-Origin"
}

// NewResponse makes the record of a response that may be stored. body and trailer
// are kept.
func NewResponse(p *rules.Policy, r *rules.Reception, l *rules.Life, given bool, body []byte, trailer http.Header) *Record {
	h := p.StoredFields(r)
	if IsWasteful(body) {
		body = bytes.Clone(body) // which is what it weighs as long as it is held
	}
	if len(h["Date"]) == 0 {
		h["Date"] = []string{r.Received.UTC().Format(http.TimeFormat)}
	}
	rec := &Record{
		Kind: Response, Status: r.Status, Body: body, Trailer: rules.Packed(trailer),
		Born: l.Born.UnixNano(), Life: int64(l.Lifetime), Made: time.Now().UnixNano(),
		Shared: p.Shared, Targets: p.Targets, Given: given, Assumed: l.Assumed,
		Log: r.Mark.Log, Seq: r.Mark.Seq, version: r.Mark.Version,
	}
	if r.Status == http.StatusOK && len(h["Etag"]) == 0 && p.Shared {
		h["Etag"], rec.OwnETag = []string{makeETag(body)}, true
	}
	if len(trailer) > 0 || !rules.HasBody(r.Status) {
		delete(h, "Content-Length")
	}
	rec.Header = rules.Packed(h)
	return rec
}

// makeETag returns an entity tag for a body: the same body has the same one in every
// process, and after every restart. It is weak, for it is not known what becomes of
// the body outside: one that a middleware compresses is another representation,
// with another strong tag (RFC 9110, section 8.8.3.3).
func makeETag(body []byte) string {
	sum := sha256.Sum256(body)
	b := append(make([]byte, 0, 24), `W/"`...)
	b = base64.RawURLEncoding.AppendEncode(b, sum[:15])
	return string(append(b, '"'))
}

// Shares reports whether one validation of the response answers several requests.
func (d *Derived) Shares() bool { return !d.CacheControl.Any(rules.NoCache) && d.Lifetime > 0 }

// CanValidate reports whether the origin can be asked about the response by the
// validators that it gave itself.
func (r *Record) CanValidate() bool {
	d := r.Derived()
	return d.ETag != "" && !r.OwnETag || d.Text != ""
}

// Origins returns the validators that the origin itself gave.
func (r *Record) Origins() *rules.Validators {
	v := r.Derived().Validators
	if r.OwnETag {
		v.ETag = ""
	}
	return &v
}

// Refreshed returns a record of the same response, updated by a response that validated it
// or by one to a HEAD request (RFC 9111, sections 3.2 and 4.3.4); and what that is as a
// response that has come by now, and its life, which say whether it may be stored. given is
// the lifetime that the handler gave, if it did; personal is of the request.
func (r *Record) Refreshed(p *rules.Policy, by *rules.Reception, given time.Duration, hasGiven, personal bool) (*Record, *rules.Reception, *rules.Life) {
	merged := maps.Clone(r.Header)
	update := p.StoredFields(by)
	rules.UpdateFields(merged, update)
	if len(update["Date"]) == 0 {
		merged["Date"] = []string{by.Received.UTC().Format(http.TimeFormat)}
	}
	whole := p.ReceptionOf(r.Status, withAge(merged, by.Header["Age"]), by.Requested, by.Received)
	l := p.LifeOf(whole, given, hasGiven, personal)
	if len(by.Header["Date"]) == 0 && len(by.Header["Age"]) == 0 {
		l.Born = by.Received
	}
	return &Record{
		Kind: Response, Status: r.Status, Header: rules.Packed(merged), Body: r.Body, Trailer: r.Trailer,
		Born: l.Born.UnixNano(), Life: int64(l.Lifetime), Made: time.Now().UnixNano(),
		Shared: r.Shared, Targets: r.Targets, OwnETag: r.OwnETag, Given: hasGiven, Assumed: l.Assumed,
		Log: by.Mark.Log, Seq: by.Mark.Seq, version: by.Mark.Version,
	}, whole, &l
}

// withAge returns h with an Age field, for reading the life of a response.
func withAge(h http.Header, age []string) http.Header {
	if len(age) == 0 {
		return h
	}
	h = h.Clone()
	h["Age"] = age
	return h
}

// StartRefresh reports whether the caller is to refresh the response in the
// background: nobody else does so, and the last attempt has not failed lately.
func (r *Record) StartRefresh(now time.Time) bool {
	at := r.refreshing.Load()
	return at != running && at <= now.UnixNano() && r.refreshing.CompareAndSwap(at, running)
}

// EndRefresh notes that an attempt has ended. The record is not in use any more
// if it succeeded; otherwise the next one waits a little.
func (r *Record) EndRefresh(now time.Time) {
	r.refreshing.Store(now.Add(refreshPause).UnixNano())
}

const (
	running      = -1
	refreshPause = time.Second
)
