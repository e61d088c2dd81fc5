package httpcache

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-0226adef/memo/httpcache/internal/rules"
	"github.com/seed-0226adef/memo/internal/function"
)

// A pattern is a purge that names no single resource: a path on every host, or all that
// begins in one way. Nothing is looked up for it. It is noted, and every stored
// response is compared, when it is next looked at, with the patterns that are
// newer than the start of its handler (Varnish calls that a ban).
type pattern struct {
	host    string // a purge host; empty for every host
	target  string // a purge form, or what it begins with
	prefix  bool
	version uint64 // counts what this process has learned of
	seq     uint64 // counts what the shared store has; zero for what it has not been told
}

func (p *pattern) matches(host string, forms []string) bool {
	return (p.host == "" || p.host == host) && slices.ContainsFunc(forms, func(form string) bool {
		return form == p.target || p.prefix && strings.HasPrefix(form, p.target)
	})
}

// patterns are those that were purged. With a shared store, its log has them for the
// other processes; see patternlog.go.
type patterns struct {
	notes   *function.Notes // the place of the log; nil without a store
	version atomic.Uint64   // of the newest; begins at one
	read    atomic.Int64    // when the log was read last, in nanoseconds since 1970

	renewing atomic.Bool // a goroutine reads the log in the background

	mu       sync.Mutex
	list     []pattern  // guarded by mu; the oldest first
	floor    uint64     // guarded by mu; responses whose handler began before that version are too old
	log      patternLog // guarded by mu; what is known of the store's
	retrying bool       // guarded by mu; a timer tells the store what it has not been told

	reading sync.Mutex // held by who reads or writes the log
}

// maxPatterns bounds how many patterns are remembered. Beyond that the older half is
// forgotten, and every response from before counts as purged: too much is made
// again, and nothing old is returned.
const maxPatterns = 4096

// newPatterns returns the patterns of a cache, which begin with its first use: memo's
// defaults may still change before.
func newPatterns(c *Cache) func() *patterns {
	return sync.OnceValue(func() *patterns {
		p := &patterns{notes: c.records.policy().Notes()}
		p.version.Store(1)
		return p
	})
}

// now returns the mark of a handler that begins now.
func (p *patterns) now() rules.Mark {
	p.mu.Lock()
	defer p.mu.Unlock()
	return rules.Mark{Version: p.version.Load(), Log: p.log.name, Seq: p.log.seq}
}

// add notes a pattern. The caller holds p.mu.
func (p *patterns) add(one pattern) {
	if len(p.list) >= maxPatterns {
		p.list = slices.Clone(p.list[maxPatterns/2:])
		p.floor = p.list[0].version
	}
	one.version = p.version.Load() + 1
	p.list = append(p.list, one)
	p.version.Store(one.version)
}

// overtook reports whether a response with that mark was purged by a pattern that this
// process had learned of at version upTo. What is older than since was compared before.
func (p *patterns) overtook(m rules.Mark, since, upTo uint64, host string, forms []string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.tooOld(m) {
		return true
	}
	for i := len(p.list) - 1; i >= 0 && p.list[i].version > since; i-- {
		one := &p.list[i]
		newer := one.version > m.Version
		if m.Version == 0 {
			newer = one.seq == 0 || one.seq > m.Seq
		}
		if one.version <= upTo && newer && one.matches(host, forms) {
			return true
		}
	}
	return false
}

// tooOld reports whether a response is from before what is remembered. The caller holds
// p.mu.
func (p *patterns) tooOld(m rules.Mark) bool {
	if m.Version > 0 {
		return m.Version < p.floor
	}
	return p.notes != nil && (m.Log != p.log.name || m.Seq < p.log.floor)
}

// parsePurge reads what Purge is given: a pattern, or else the URL of one resource.
func parsePurge(p *rules.Policy, s string) (one *pattern, u *url.URL, err error) {
	rest, prefix := strings.CutSuffix(s, "*")
	if u, err = url.Parse(rest); err != nil {
		return nil, nil, err
	}
	if u.Opaque != "" || u.Host == "" && !strings.HasPrefix(rest, "/") {
		return nil, nil, fmt.Errorf("memo: httpcache: Purge needs absolute URLs, such as https://example.com/, or paths, such as /users/ and /users/*, not %q", s)
	}
	if u.Host != "" && !prefix {
		return nil, u, nil
	}
	if u.Host != "" && u.Path == "" {
		return nil, nil, fmt.Errorf("memo: httpcache: Purge(%q): the * may stand at the end of a path only, as in https://example.com/*", s)
	}
	one = &pattern{host: rules.PurgeHost(u.Host), prefix: prefix, target: p.PurgeTargets(u)[0]}
	if prefix && u.ForceQuery {
		one.target += "?"
	}
	return one, u, nil
}

// purgePattern notes a pattern in this process and in the shared store.
func (c *Cache) purgePattern(ctx context.Context, one pattern) error {
	c.purges.all.Add(1)
	p := c.patterns()
	if p.notes != nil {
		return p.publish(ctx, one)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.add(one)
	return nil
}

// patterns returns the patterns that were purged.
func (c *Cache) patterns() *patterns {
	return c.purged()
}

// trusts reports whether a response may be used without asking anybody about patterns:
// all that are known have been compared, and the store's log was read within a second.
func (c *Cache) trusts(rec *record, now time.Time) bool {
	p := c.patterns()
	return rec.look().compared.Load() == p.version.Load() && (p.notes == nil || p.isCurrent(now))
}

// learn makes sure that the patterns that other processes have purged are known, and
// notes which count for this request.
func (x *exchange) learn() {
	p := x.cache.patterns()
	x.unsure = p.notes != nil && !p.refresh(x.r.Context())
	x.upTo = p.version.Load()
}

// overtaken reports whether a stored response was purged by a pattern before the request
// began. Where the store's log cannot be read, a response older than a second may have been.
func (x *exchange) overtaken(rec *record) bool {
	if x.unsure && time.Since(time.Unix(0, rec.Made)) >= patternTrust {
		return true
	}
	d, p := rec.look(), x.cache.patterns()
	since := d.compared.Load()
	if since >= x.upTo {
		return false
	}
	u := x.target()
	if p.overtook(rec.mark(), since, x.upTo, rules.PurgeHost(u.Host), x.policy.PurgeTargets(u)) {
		return true
	}
	d.compared.CompareAndSwap(since, x.upTo)
	return false
}

// current returns a stored response that no pattern has overtaken: rec, or what the
// store has in its place; nil if there is none. What is in the way is dropped.
func (x *exchange) current(rec *record) *record {
	if !x.overtaken(rec) {
		return rec
	}
	x.cache.records.forget(x.key)
	if rec = x.cache.records.peek(x.r.Context(), x.key); rec == nil || rec.Kind != aResponse {
		return nil
	}
	if x.overtaken(rec) {
		x.drop(x.key)
		return nil
	}
	return rec
}

// drop drops a stored response that a pattern has overtaken, and detaches the execution
// that is under way for its key.
func (x *exchange) drop(key string) {
	ctx := context.WithoutCancel(x.r.Context())
	if err := x.cache.records.drop(ctx, key); err != nil {
		x.cache.log().Warn("memo: httpcache: a response that was purged could not be dropped", "error", err)
	}
}

// outdates reports whether a pattern was purged since a leader began, so that what it
// brings is not for who comes now.
func (x *exchange) outdates(l *leader) bool {
	if x.upTo <= l.mark.Version {
		return false
	}
	u := x.target()
	return x.cache.patterns().overtook(l.mark, l.mark.Version, x.upTo, rules.PurgeHost(u.Host), x.policy.PurgeTargets(u))
}

var errManyPatterns = errors.New("memo: httpcache: other processes keep purging")
