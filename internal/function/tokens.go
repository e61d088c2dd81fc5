package function

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-0226adef/memo/internal/clock"
)

// A token stands for invalidations that stores have been told of. It is a random number and says
// nothing: whoever sees one for the first time has to ask the stores from then on, and finds
// what they were told before. So it may be forgotten, and seen for the first time again.

// NewToken draws a token for what has been invalidated until now.
func NewToken() string {
	var b [16]byte
	rand.Read(b[:])
	t := base64.RawURLEncoding.EncodeToString(b[:])
	seenTokens.first(t)
	return t
}

// maxToken is the longest token in bytes, and maxTokens how many are remembered. Beyond that all
// are forgotten.
const (
	maxToken  = 64
	maxTokens = 1 << 16
)

// isToken reports whether text may be a token: it comes from outside.
func isToken(text string) bool {
	if text == "" || len(text) > maxToken {
		return false
	}
	for _, c := range []byte(text) {
		letter := 'a' <= c|0x20 && c|0x20 <= 'z'
		if !letter && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

// A moment is when a token was seen first: as an instant, and as a time of day.
type moment struct {
	at   int64
	wall time.Time
}

// seenTokens are those that this process has seen.
var seenTokens tokens

type tokens struct {
	mu sync.Mutex
	by map[string]moment // guarded by mu
}

// first returns when t was seen first, which may be now.
func (s *tokens) first(t string) moment {
	s.mu.Lock()
	defer s.mu.Unlock()
	m, seen := s.by[t]
	if seen {
		return m
	}
	if s.by == nil || len(s.by) >= maxTokens {
		s.by = map[string]moment{}
	}
	m = moment{clock.Now(), time.Now()}
	s.by[t] = m
	return m
}

// WithToken is memo.WithToken.
func WithToken(ctx context.Context, t string) context.Context {
	if !isToken(t) {
		return ctx
	}
	first := seenTokens.first(t)
	return mark(ctx, func(m *Marks) {
		if m.since == nil || first.at > m.since.at {
			m.since = &first
		}
	})
}

// JoinTokens is memo.JoinTokens.
func JoinTokens(all []string) string {
	one := ""
	for _, t := range all {
		switch {
		case !isToken(t) || t == one:
		case one == "":
			one = t
		default:
			return NewToken() // which everybody sees later than all of these were drawn
		}
	}
	return one
}

// CollectToken is memo.CollectToken.
func CollectToken(ctx context.Context) (context.Context, func() string) {
	changed := new(atomic.Bool)
	return mark(ctx, func(m *Marks) { m.collects = append(m.collects[:len(m.collects):len(m.collects)], changed) }), func() string {
		if !changed.Load() {
			return ""
		}
		return NewToken()
	}
}

// Told notes for those who collect tokens that stores have been told of a change made under ctx,
// unless err says otherwise, and returns err.
func Told(ctx context.Context, err error) error {
	if m := MarksOf(ctx); err == nil && m != nil {
		for _, c := range m.collects {
			c.Store(true)
		}
	}
	return err
}

// Token returns a token for a change that has come to err.
func Token(err error) (string, error) {
	if err != nil {
		return "", err
	}
	return NewToken(), nil
}

// Since returns when a token of ctx was seen first, as a time of day; the last of several. It is
// zero without one.
func Since(ctx context.Context) time.Time {
	if m := MarksOf(ctx); m != nil && m.since != nil {
		return m.since.wall
	}
	return time.Time{}
}
