package stored

import (
	"net/http"
	"slices"
	"time"

	"github.com/seed-0226adef/memo/httpcache/internal/rules"
)

// SetFields puts stored fields into a header, and those that are this cache's own: Age
// (RFC 9111, section 5.1) and Cache-Status. What others have said before in Vary
// stays. All values are copies.
//
// Where memo was told how long the response is good for it, and what clients are told is
// another thing (Options.ClientTTL, or the handler's Cache-Control beside
// memo.SetTTL), the cache is a part of the origin server, which vouches for the
// response anew in each answer: its Date is now, and it has no Age. With its age in
// this cache, clients and the caches on the way to them would take it for stale.
func (r *Record) SetFields(h http.Header, p *rules.Policy, now time.Time, fields rules.FieldLines, said *rules.CacheStatus) {
	d, before := r.Derived(), h["Vary"]
	told := p.ClientControl != nil && !d.controlled
	own := rules.CutLines(fields.Values + 2 + rules.Count(told) + rules.Count(p.XCache))
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
		h["Cache-Control"], own = rules.Put(own, p.ClientControl)
	}
	vouched, name := told || r.Given && d.controlled, "Age"
	if vouched {
		name = "Date"
	}
	s := r.stampAt(p, vouched, now)
	h[name], own = rules.Put(own, s.moment[:])
	if p.XCache {
		h["X-Cache"], own = rules.Put(own, rules.Verdicts[said == nil || said.Hit || said.Collapsed])
	}
	switch {
	case said == nil && len(h["Cache-Status"]) == 0:
		h["Cache-Status"], _ = rules.Put(own, s.status[:])
	case said == nil:
		h["Cache-Status"] = slices.Concat(h["Cache-Status"], s.status[:])
	default:
		p.AddStatus(h, said)
	}
}

// stampAt returns what goes out with the response at this age. One that the cache
// vouches for has a Date, and no Age; see [Record.SetFields].
func (r *Record) stampAt(p *rules.Policy, vouched bool, now time.Time) *stamp {
	d := r.Derived()
	second := int64(d.Age(now) / time.Second)
	if s := d.stamp.Load(); s != nil && s.second == second {
		return s
	}
	left := time.Duration(r.Life) - time.Duration(second)*time.Second
	status := rules.CacheStatus{Hit: true, TTL: left, HasTTL: true}
	s := &stamp{second: second}
	s.status[0] = string(status.AppendTo(nil, p.Identity))
	if s.moment[0] = rules.Decimal(second); vouched {
		s.moment[0] = now.UTC().Format(http.TimeFormat)
	}
	d.stamp.Store(s)
	return s
}
