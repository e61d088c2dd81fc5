package httpcache

import (
	"io"
	"net/http"
	"time"

	"github.com/seed-0226adef/memo"
)

// TokenOptions say how [Tokens] keeps a token. The zero value is ready for use.
type TokenOptions struct {
	// Name of the cookie. Empty means "memo-token".
	Name string

	// MaxAge is for how long a client keeps the token. It has to be longer than other
	// processes may go on using what they hold: memo.LocalTTL, which is ten seconds where it is
	// not given. Zero means a minute; it is rounded up to whole seconds.
	MaxAge time.Duration

	// Secure has clients send the cookie over https only, also where a handler sees http
	// behind a proxy. It is set for requests that came by TLS.
	Secure bool
}

// Tokens returns a handler by which clients see what they have changed, whichever process of a
// fleet answers them next. It is a middleware, around those that [Cache.Handler] makes:
//
//	mux.Handle("/", httpcache.Tokens(cache.Handler(pages), nil))
//
// Whatever is invalidated, expired, set or purged under a request's context, by memo's functions
// or by a [Cache], gives its client a token in a cookie, set before the response's header is
// written: changes that come later, and those that a store was not told of yet, give none. The
// requests that bring the token are served as [memo.WithToken] says.
//
// Responses that set a cookie are not stored by shared caches.
func Tokens(next http.Handler, o *TokenOptions) http.Handler {
	t := tokens{next: next, options: TokenOptions{Name: "memo-token", MaxAge: time.Minute}}
	if o != nil {
		t.options.Secure = o.Secure
		if o.Name != "" {
			t.options.Name = o.Name
		}
		if o.MaxAge > 0 {
			t.options.MaxAge = o.MaxAge
		}
	}
	return t
}

type tokens struct {
	next    http.Handler
	options TokenOptions
}

func (t tokens) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	for _, c := range r.CookiesNamed(t.options.Name) {
		ctx = memo.WithToken(ctx, c.Value)
	}
	ctx, collected := memo.CollectToken(ctx)
	tw := &tokenWriter{ResponseWriter: w, set: func() { t.set(w, r, collected()) }}
	t.next.ServeHTTP(tw, r.WithContext(ctx))
	tw.begin()
}

// set sets the cookie, if there is a token for it.
func (t tokens) set(w http.ResponseWriter, r *http.Request, token string) {
	if token == "" {
		return
	}
	http.SetCookie(w, &http.Cookie{
		Name: t.options.Name, Value: token, Path: "/", MaxAge: int((t.options.MaxAge + time.Second - 1) / time.Second),
		HttpOnly: true, Secure: t.options.Secure || r.TLS != nil, SameSite: http.SameSiteLaxMode,
	})
}

// A tokenWriter sets the cookie before the header is written. One goroutine uses it at a time,
// as any http.ResponseWriter.
type tokenWriter struct {
	http.ResponseWriter
	set   func()
	begun bool
}

func (w *tokenWriter) begin() {
	if !w.begun {
		w.begun = true
		w.set()
	}
}

func (w *tokenWriter) WriteHeader(status int) {
	if status >= 200 || status == http.StatusSwitchingProtocols { // others come before the header
		w.begin()
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *tokenWriter) Write(b []byte) (int, error) {
	w.begin()
	return w.ResponseWriter.Write(b)
}

// ReadFrom leaves copying to what is behind, which may send a file by itself.
func (w *tokenWriter) ReadFrom(r io.Reader) (int64, error) {
	w.begin()
	return io.Copy(w.ResponseWriter, r)
}

// Flush implements [http.Flusher].
func (w *tokenWriter) Flush() { w.FlushError() }

// FlushError is what an [http.ResponseController] calls.
func (w *tokenWriter) FlushError() error {
	w.begin()
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// Unwrap is what an [http.ResponseController] finds the other abilities by.
func (w *tokenWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
