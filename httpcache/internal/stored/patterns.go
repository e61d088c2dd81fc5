package stored

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
// begins in one way; or an expiry, of a resource, of such a pattern, or of a tag. Nothing is looked up for it. It is noted, and every stored
// response is compared, when it is next looked at, with the patterns that are
// newer than the start of its handler (Varnish calls that a ban).
type pattern struct {
	host    string // a purge host; empty for every host
	target  string // a purge form, or what it begins with
	prefix  bool
	tag     bool   // target is a tag
	expired int64  // of an expiry: when it was, in nanoseconds since 1970; zero of a purge
	version uint64 // counts what this process has learned of
	seq     uint64 // counts what the shared store has; zero for what it has not been told
}

func (p *pattern) matches(host string, forms []string) bool {
	return (p.host == "" || p.host == host) && slices.ContainsFunc(forms, func(form string) bool {
		return form == p.target || p.prefix && strings.HasPrefix(form, p.target)
	})
}

// Patterns are those that were purged or expired. With a shared store, its log has them for the
// other processes; see patternlog.go.
type Patterns struct {
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

// NewPatterns returns the patterns of a cache, which begin with its first use: memo's
// defaults may still change before.
func NewPatterns(rs *Records) func() *Patterns {
	return sync.OnceValue(func() *Patterns {
		p := &Patterns{notes: rs.policy().Notes()}
		p.version.Store(1)
		return p
	})
}

// Purge notes a pattern in this process and in the shared store.
func (p *Patterns) Purge(ctx context.Context, one pattern) error {
	if p.notes != nil {
		return p.publish(ctx, one)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.add(one)
	return nil
}

// Current makes sure that the patterns that other processes have purged are known. It
// returns the version that counts for a request that begins now, and whether there may be
// more patterns, which the store does not tell.
func (p *Patterns) Current(ctx context.Context) (upTo uint64, unsure bool) {
	unsure = p.notes != nil && !p.refresh(ctx)
	return p.version.Load(), unsure
}

// Trusts reports whether a response may be used without asking anybody about patterns:
// all that are known have been compared, and the store's log was read within a second.
// A token of ctx may ask for a later reading.
func (p *Patterns) Trusts(ctx context.Context, rec *Record, now time.Time) bool {
	return rec.Derived().compared.Load() == p.version.Load() && (p.notes == nil || p.isCurrent(ctx, now))
}

// Overtake reports whether a stored response of that resource was purged by a pattern that
// this process had learned of at version upTo. If it was expired, it is so from then on.
func (p *Patterns) Overtake(rec *Record, upTo uint64, host string, forms []string) bool {
	d := rec.Derived()
	since := d.compared.Load()
	if since >= upTo {
		return false
	}
	purged, expired := p.compare(rec.mark(), since, upTo, func(one *pattern) bool {
		if one.tag {
			return slices.Contains(d.tagNames(), one.target)
		}
		return one.matches(host, forms)
	})
	if purged {
		return true
	}
	d.expire(expired)
	d.compared.CompareAndSwap(since, upTo)
	return false
}

// Now returns the mark of a handler that begins now.
func (p *Patterns) Now() rules.Mark {
	p.mu.Lock()
	defer p.mu.Unlock()
	return rules.Mark{Version: p.version.Load(), Log: p.log.name, Seq: p.log.seq}
}

// add notes a pattern. The caller holds p.mu.
func (p *Patterns) add(one pattern) {
	if len(p.list) >= maxPatterns {
		p.list = slices.Clone(p.list[maxPatterns/2:])
		p.floor = p.list[0].version
	}
	one.version = p.version.Load() + 1
	p.list = append(p.list, one)
	p.version.Store(one.version)
}

// Overtook reports whether a response with that mark, on its way, was purged or expired by a
// pattern that this process had learned of at version upTo. What is older than since was
// compared before. Its tags are not known yet, so that it may have any.
func (p *Patterns) Overtook(m rules.Mark, since, upTo uint64, host string, forms []string) bool {
	purged, expired := p.compare(m, since, upTo, func(one *pattern) bool { return one.tag || one.matches(host, forms) })
	return purged || expired != 0
}

// compare is Overtook for what is met by certain patterns. It tells a purge from an expiry, of
// which it returns when the first one was.
func (p *Patterns) compare(m rules.Mark, since, upTo uint64, meets func(*pattern) bool) (purged bool, expired int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.tooOld(m) {
		return true, 0
	}
	for i := len(p.list) - 1; i >= 0 && p.list[i].version > since; i-- {
		one := &p.list[i]
		newer := one.version > m.Version
		if m.Version == 0 {
			newer = one.seq == 0 || one.seq > m.Seq
		}
		if one.version > upTo || !newer || !meets(one) {
			continue
		}
		if one.expired == 0 {
			return true, 0
		}
		expired = one.expired // from the newest to the oldest
	}
	return false, expired
}

// tooOld reports whether a response is from before what is remembered. The caller holds
// p.mu.
func (p *Patterns) tooOld(m rules.Mark) bool {
	if m.Version > 0 {
		return m.Version < p.floor
	}
	return p.notes != nil && (m.Log != p.log.name || m.Seq < p.log.floor)
}

// ExpiryOf makes an expiry of the resource at u.
func ExpiryOf(p *rules.Policy, u *url.URL) *pattern {
	return &pattern{host: rules.PurgeHost(u.Host), target: p.PurgeTargets(u)[0]}
}

// Expire notes the expiry of a pattern.
func (p *Patterns) Expire(ctx context.Context, one pattern) error {
	one.expired = time.Now().UnixNano()
	return p.Purge(ctx, one)
}

// ExpireTag notes the expiry of a tag.
func (p *Patterns) ExpireTag(ctx context.Context, tag string) error {
	return p.Expire(ctx, pattern{tag: true, target: tag})
}

// ParsePurge reads what Purge or another method of that name is given: a pattern, or else the
// URL of one resource.
func ParsePurge(p *rules.Policy, method, s string) (one *pattern, u *url.URL, err error) {
	rest, prefix := strings.CutSuffix(s, "*")
	if u, err = url.Parse(rest); err != nil {
		return nil, nil, err
	}
	if u.Opaque != "" || u.Host == "" && !strings.HasPrefix(rest, "/") {
		return nil, nil, fmt.Errorf("memo: httpcache: %s needs absolute URLs, such as https://example.com/, or paths, such as /users/ and /users/*, not %q", method, s)
	}
	if u.Host != "" && !prefix {
		return nil, u, nil
	}
	if u.Host != "" && u.Path == "" {
		return nil, nil, fmt.Errorf("memo: httpcache: %s(%q): the * may stand at the end of a path only, as in https://example.com/*", method, s)
	}
	one = &pattern{host: rules.PurgeHost(u.Host), prefix: prefix, target: p.PurgeTargets(u)[0]}
	if prefix && u.ForceQuery {
		one.target += "?"
	}
	return one, u, nil
}

var errManyPatterns = errors.New("memo: httpcache: other processes keep purging")
