// Package exchange is one request to a cache, and its answer.
//
//   - A Cache is what the exchanges of one cache have in common.
//   - An exchange is one request: it finds what is stored, decides whether that answers, waits
//     for somebody else's run, or runs the handler.
//   - An attempt is one run of the handler for an exchange.
//
// The package decides; what it decides by are the rules. It does not know how records are held
// and shared, nor how bytes get to a client who reads slowly.
package exchange

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/seed-0226adef/memo/httpcache/internal/rules"
	"github.com/seed-0226adef/memo/httpcache/internal/stored"
)

// A core is what the exchanges of one cache have in common.
//
// All methods are safe for concurrent use.
type Cache struct {
	server   *rules.Policy // of every handler
	client   *rules.Policy // of every transport
	Records  *stored.Records
	leading  sync.Map // keys to *leader: who runs what
	purges   stored.Purges
	purged   func() *stored.Patterns // those that were purged
	Inflight *stored.Account         // of what requests gather
	Sending  *stored.Account         // of what is stored, and is being sent
	Count    Counters
}

// newCore returns what a cache of records is made of. Requests under way gather as many
// bytes as room returns, and as many are being sent of what is stored.
func New(server, client *rules.Policy, records *stored.Records, room func() int64) *Cache {
	return &Cache{
		server: server, client: client, Records: records, purged: stored.NewPatterns(records),
		Inflight: stored.NewAccount(room), Sending: stored.NewAccount(room),
	}
}

func (c *Cache) log() *slog.Logger { return c.Records.Log() }

// purgeAny drops what a URL or a pattern means.
func (c *Cache) Purge(ctx context.Context, s string) error {
	one, u, err := stored.ParsePurge(c.server, "Purge", s)
	switch {
	case err != nil:
		return err
	case one != nil:
		c.purges.All.Add(1)
		return c.purged().Purge(ctx, *one)
	}
	return c.purge(ctx, u)
}

// Expire ends the freshness of what a URL or a pattern means.
func (c *Cache) Expire(ctx context.Context, s string) error {
	one, u, err := stored.ParsePurge(c.server, "Expire", s)
	if err != nil {
		return err
	}
	if one == nil {
		one = stored.ExpiryOf(c.server, u)
	}
	c.purges.All.Add(1)
	return c.purged().Expire(ctx, *one)
}

// ExpireTags ends the freshness of the responses that have any of the tags.
func (c *Cache) ExpireTags(ctx context.Context, tags []string) error {
	c.purges.All.Add(1)
	var errs []error
	for _, tag := range tags {
		errs = append(errs, c.purged().ExpireTag(ctx, tag))
	}
	return errors.Join(errs...)
}

// purge drops what is held for a URL, of both faces.
func (c *Cache) purge(ctx context.Context, u *url.URL) error {
	p, host := c.server, rules.PurgeHost(u.Host)
	for _, name := range p.PurgeNames(u) {
		c.purges.Counter(name).Add(1)
	}
	schemes := []string{"http", "https"}
	if s := strings.ToLower(u.Scheme); s != "" && !slices.Contains(schemes, s) {
		schemes = append(schemes, s)
	}
	var drop []string
	for _, face := range []rules.Face{rules.HandlerFace, rules.TransportFace} {
		for _, method := range append([]string{http.MethodGet}, p.Methods...) {
			for _, scheme := range schemes {
				for _, form := range p.PurgeTargets(u) {
					drop = p.PurgedKeys(drop, face, method, scheme, host, form)
				}
			}
		}
	}
	return c.Records.Drop(ctx, drop...)
}

// PurgeTags drops the responses that have any of the tags.
func (c *Cache) PurgeTags(ctx context.Context, tags []string) error {
	c.purges.All.Add(1)
	return c.Records.InvalidateTags(ctx, tags)
}

// Clear drops all responses.
func (c *Cache) Clear(ctx context.Context) error {
	c.purges.All.Add(1)
	return c.Records.Clear(ctx)
}

// Counters are what a cache counts; see httpcache.Stats.
type Counters struct {
	Hits, StaleHits, Revalidated, Collapsed, Misses, Passes, NotModified, Stored, Refreshes atomic.Uint64
}
