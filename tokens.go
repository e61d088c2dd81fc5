package memo

import (
	"context"

	"github.com/seed-0226adef/memo/internal/function"
)

// WithToken returns a copy of ctx under which nothing is returned, in whatever process, that the
// invalidation has overtaken which t is from: by [Func.InvalidateToken] and the like, or
// [CollectToken]. Whoever has changed something and goes on elsewhere, with a token in hand,
// sees the change there at once, whether or not that process has heard of it:
//
//	ctx = memo.WithToken(ctx, r.Header.Get("X-Memo-Token"))
//
// A process that sees a token for the first time asks its stores again for each result that it
// uses under that, once; from then on calls under it are hits as ever. It joins no execution
// that began before. What is made in this process alone needs no token.
//
// It goes on to what fn calls with its context, and is found through the request of a gin.Context
// too. Several tokens in one another all count. A t that cannot be a token, because it is empty,
// longer than 64 bytes, or has other bytes than letters, digits, - and _, is ignored; any other
// text is as good as a token that nobody has used yet, so that it may come from a client.
//
// A program that has never called it pays nothing for it.
func WithToken(ctx context.Context, t string) context.Context { return function.WithToken(ctx, t) }

// JoinTokens returns a token for all that tokens are for. Those that cannot be tokens are left
// out; the result is empty if none is left.
func JoinTokens(tokens ...string) string { return function.JoinTokens(tokens) }

// CollectToken returns a copy of ctx, and a function that returns a token for all that was
// invalidated, expired or set under it so far, and has reached its stores; an empty one if that is
// nothing. It may be called more than once, and concurrently with what goes on under the context.
//
// It is for middlewares: that of package httpcache is Tokens.
func CollectToken(ctx context.Context) (context.Context, func() string) {
	return function.CollectToken(ctx)
}

// InvalidateToken is [Func.Invalidate] that returns a token for [WithToken]: 22 letters, digits, -
// and _, which fit in a cookie. With an error, which says that a store was not told yet, it is
// empty.
func (f *Func[A, R]) InvalidateToken(ctx context.Context, args ...A) (string, error) {
	return function.Token(f.Invalidate(ctx, args...))
}

// ExpireToken is [Func.Expire] that returns a token, as [Func.InvalidateToken] does.
func (f *Func[A, R]) ExpireToken(ctx context.Context, args ...A) (string, error) {
	return function.Token(f.Expire(ctx, args...))
}

// SetToken is [Func.Set] that returns a token, as [Func.InvalidateToken] does.
func (f *Func[A, R]) SetToken(ctx context.Context, a A, r R) (string, error) {
	return function.Token(f.Set(ctx, a, r))
}

// ClearToken is [Func.Clear] that returns a token, as [Func.InvalidateToken] does.
func (f *Func[A, R]) ClearToken(ctx context.Context) (string, error) {
	return function.Token(f.Clear(ctx))
}

// InvalidateToken is [Batch.Invalidate] that returns a token, as [Func.InvalidateToken] does.
func (b *Batch[K, V]) InvalidateToken(ctx context.Context, keys ...K) (string, error) {
	return function.Token(b.Invalidate(ctx, keys...))
}

// ExpireToken is [Batch.Expire] that returns a token, as [Func.InvalidateToken] does.
func (b *Batch[K, V]) ExpireToken(ctx context.Context, keys ...K) (string, error) {
	return function.Token(b.Expire(ctx, keys...))
}

// SetToken is [Batch.Set] that returns a token, as [Func.InvalidateToken] does.
func (b *Batch[K, V]) SetToken(ctx context.Context, key K, v V) (string, error) {
	return function.Token(b.Set(ctx, key, v))
}

// ClearToken is [Batch.Clear] that returns a token, as [Func.InvalidateToken] does.
func (b *Batch[K, V]) ClearToken(ctx context.Context) (string, error) {
	return function.Token(b.Clear(ctx))
}

// InvalidateTagsToken is [Group.InvalidateTags] that returns a token, as [Func.InvalidateToken]
// does.
func (g *Group) InvalidateTagsToken(ctx context.Context, tags ...string) (string, error) {
	return function.Token(g.InvalidateTags(ctx, tags...))
}

// ExpireTagsToken is [Group.ExpireTags] that returns a token, as [Func.InvalidateToken] does.
func (g *Group) ExpireTagsToken(ctx context.Context, tags ...string) (string, error) {
	return function.Token(g.ExpireTags(ctx, tags...))
}

// ClearToken is [Group.Clear] that returns a token, as [Func.InvalidateToken] does.
func (g *Group) ClearToken(ctx context.Context) (string, error) {
	return function.Token(g.Clear(ctx))
}

// ExpireToken is [Group.Expire] that returns a token, as [Func.InvalidateToken] does.
func (g *Group) ExpireToken(ctx context.Context) (string, error) {
	return function.Token(g.Expire(ctx))
}
