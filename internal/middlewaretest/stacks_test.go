package middlewaretest

import (
	"cmp"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/go-chi/chi/v5"
	chimiddleware "github.com/go-chi/chi/v5/middleware"
	"github.com/labstack/echo/v4"
	echomiddleware "github.com/labstack/echo/v4/middleware"
)

// A middleware is what all but gin and echo take.
type middleware = func(http.Handler) http.Handler

// A stack puts a kind's handler behind middlewares, and a cache among them; without
// one if cache is nil.
type stack struct {
	name  string
	build func(k kind, cache middleware) http.Handler
}

func stacks() []stack {
	list := []stack{
		{"net/http", func(k kind, cache middleware) http.Handler { return around(failing(k), cache) }},
	}
	for name, mw := range map[string]middleware{
		"recover": recovering, "gzip": compressing, "CORS": cors, "request ID": identifying, "ETag": tagging, "error": answering,
		"timeout": func(h http.Handler) http.Handler { return http.TimeoutHandler(h, time.Minute, "late") },
	} {
		list = append(list,
			stack{"net/http, inside " + name, func(k kind, cache middleware) http.Handler { return mw(around(failing(k), cache)) }},
			stack{"net/http, outside " + name, func(k kind, cache middleware) http.Handler { return around(mw(failing(k)), cache) }})
	}
	for name, mw := range map[string]middleware{
		"Recoverer": chimiddleware.Recoverer, "Compress": chimiddleware.Compress(5), "RequestID": chimiddleware.RequestID,
		"Timeout": chimiddleware.Timeout(time.Minute), "StripSlashes": chimiddleware.StripSlashes, "GetHead": chimiddleware.GetHead,
		"NoCache": chimiddleware.NoCache, "Logger": chimiddleware.RequestLogger(&chimiddleware.DefaultLogFormatter{Logger: quiet{}, NoColor: true}),
	} {
		list = append(list,
			stack{"chi, inside " + name, func(k kind, cache middleware) http.Handler { return chiRouter(k, mw, cache) }},
			stack{"chi, outside " + name, func(k kind, cache middleware) http.Handler { return chiRouter(k, cache, mw) }})
	}
	for name, mw := range map[string]echo.MiddlewareFunc{
		"Recover": echomiddleware.RecoverWithConfig(echomiddleware.RecoverConfig{DisablePrintStack: true, DisableStackAll: true, LogErrorFunc: func(c echo.Context, err error, stack []byte) error { return err }}),
		"Gzip":    echomiddleware.Gzip(), "CORS": echomiddleware.CORS(), "Secure": echomiddleware.Secure(),
		"Logger": echomiddleware.RequestLoggerWithConfig(echomiddleware.RequestLoggerConfig{
			HandleError: true, LogStatus: true,
			LogValuesFunc: func(echo.Context, echomiddleware.RequestLoggerValues) error { return nil },
		}),
	} {
		list = append(list,
			stack{"echo, inside " + name, func(k kind, cache middleware) http.Handler { return echoServer(k, mw, wrapped(cache)) }},
			stack{"echo, outside " + name, func(k kind, cache middleware) http.Handler { return echoServer(k, wrapped(cache), mw) }},
			stack{"echo, around " + name, func(k kind, cache middleware) http.Handler { return around(echoServer(k, mw), cache) }})
	}
	for name, mw := range map[string]gin.HandlerFunc{
		"Recovery": gin.RecoveryWithWriter(io.Discard), "Logger": gin.LoggerWithWriter(io.Discard), "errors": ginErrors,
	} {
		list = append(list,
			stack{"gin, inside " + name, func(k kind, cache middleware) http.Handler { return ginEngine(k, mw, ginCache(cache)) }},
			stack{"gin, outside " + name, func(k kind, cache middleware) http.Handler { return ginEngine(k, ginCache(cache), mw) }},
			stack{"gin, around " + name, func(k kind, cache middleware) http.Handler { return around(ginEngine(k, mw), cache) }})
	}
	return list
}

func around(h http.Handler, mw middleware) http.Handler {
	if mw == nil {
		return h
	}
	return mw(h)
}

func chiRouter(k kind, mws ...middleware) http.Handler {
	r := chi.NewRouter()
	for _, mw := range mws {
		if mw != nil {
			r.Use(mw)
		}
	}
	r.Handle("/*", failing(k))
	return r
}

func wrapped(mw middleware) echo.MiddlewareFunc {
	if mw == nil {
		return nil
	}
	return echo.WrapMiddleware(mw)
}

func echoServer(k kind, mws ...echo.MiddlewareFunc) http.Handler {
	e := echo.New()
	e.Logger.SetOutput(io.Discard)
	for _, mw := range mws {
		if mw != nil {
			e.Use(mw)
		}
	}
	e.Any("/*", func(c echo.Context) error {
		if k.status != 0 {
			return echo.NewHTTPError(k.status, "from the handler")
		}
		k.serve(c.Response(), c.Request())
		return nil
	})
	return e
}

func ginEngine(k kind, mws ...gin.HandlerFunc) http.Handler {
	gin.SetMode(gin.ReleaseMode)
	e := gin.New()
	for _, mw := range mws {
		if mw != nil {
			e.Use(mw)
		}
	}
	e.Any("/*path", func(c *gin.Context) {
		if k.status != 0 {
			c.Error(fmt.Errorf("from the handler"))
			c.Set("status", k.status)
			return
		}
		k.serve(c.Writer, c.Request)
	})
	return e
}

// ginErrors writes what handlers only note.
func ginErrors(c *gin.Context) {
	c.Next()
	if len(c.Errors) > 0 && !c.Writer.Written() {
		c.JSON(c.GetInt("status"), gin.H{"error": c.Errors.Last().Error()})
	}
}

// ginCache makes a middleware of gin's from one of net/http's.
func ginCache(mw middleware) gin.HandlerFunc {
	if mw == nil {
		return nil
	}
	return func(c *gin.Context) {
		outer, ran := c.Writer, false
		mw(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ran = true
			g := &ginWriter{ResponseWriter: outer, w: w}
			c.Request, c.Writer = r, g
			defer func() { c.Writer = outer }()
			c.Next()
			if g.status != 0 {
				g.WriteHeaderNow()
			}
		})).ServeHTTP(outer, c.Request)
		if !ran {
			c.Abort()
		}
	}
}

// A ginWriter is gin's, and writes by way of a middleware. As gin's own it holds the
// status back until something is written. What has been written it knows itself: the
// writer outside may be writing still.
type ginWriter struct {
	gin.ResponseWriter
	w      http.ResponseWriter
	status int
	size   int
	begun  bool
}

func (g *ginWriter) WriteHeader(status int) {
	if status < 200 {
		g.w.WriteHeader(status)
	} else if !g.begun {
		g.status = status
	}
}

func (g *ginWriter) WriteHeaderNow() {
	if !g.begun && g.status != 0 {
		g.begun = true
		g.w.WriteHeader(g.status)
	}
	g.begun = true
}

func (g *ginWriter) Written() bool { return g.begun }
func (g *ginWriter) Size() int     { return g.size }
func (g *ginWriter) Status() int   { return cmp.Or(g.status, http.StatusOK) }

func (g *ginWriter) Write(p []byte) (int, error) {
	g.WriteHeaderNow()
	n, err := g.w.Write(p)
	g.size += n
	return n, err
}

func (g *ginWriter) WriteString(s string) (int, error) { return g.Write([]byte(s)) }

func (g *ginWriter) Flush() {
	g.WriteHeaderNow()
	http.NewResponseController(g.w).Flush()
}

func (g *ginWriter) Unwrap() http.ResponseWriter { return g.w }

type statusKey struct{}

// failing is a kind's handler for net/http. Its error, if it has one, is for answering.
func failing(k kind) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if k.status == 0 {
			k.serve(w, r)
		} else if status, ok := r.Context().Value(statusKey{}).(*int); ok {
			*status = k.status
		}
	})
}

// answering writes an error for a handler that has returned one.
func answering(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var status int
		h.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), statusKey{}, &status)))
		if status != 0 {
			http.Error(w, "from outside", status)
		}
	})
}

func recovering(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if v := recover(); v == http.ErrAbortHandler {
				panic(v)
			} else if v != nil {
				w.WriteHeader(http.StatusInternalServerError)
				io.WriteString(w, "recovered")
			}
		}()
		h.ServeHTTP(w, r)
	})
}

func cors(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Add("Vary", "Origin")
		w.Header().Set("Access-Control-Allow-Origin", "*")
		h.ServeHTTP(w, r)
	})
}

func identifying(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Request-Id", "id of "+r.Method)
		h.ServeHTTP(w, r)
	})
}

// writing is a ResponseWriter whose body goes somewhere else, and which is told of the
// header.
type writing struct {
	http.ResponseWriter
	to    io.Writer
	begin func(status int)
	begun bool
}

func (w *writing) WriteHeader(status int) {
	if !w.begun && (status >= 200 || status == 101) {
		w.begun = true
		w.begin(status)
		return
	}
	if !w.begun {
		w.ResponseWriter.WriteHeader(status)
	}
}

func (w *writing) FlushError() error {
	if !w.begun {
		w.WriteHeader(http.StatusOK)
	}
	if z, ok := w.to.(*gzip.Writer); ok {
		z.Flush()
	}
	return http.NewResponseController(w.ResponseWriter).Flush()
}

func (w *writing) Write(p []byte) (int, error) {
	if !w.begun {
		w.WriteHeader(http.StatusOK)
	}
	return w.to.Write(p)
}

func (w *writing) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// compressing does so for those who want it, as it should be done.
func compressing(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Add("Vary", "Accept-Encoding")
		if !strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") || r.Method == "HEAD" || r.Header.Get("Upgrade") != "" {
			h.ServeHTTP(w, r)
			return
		}
		out := &writing{ResponseWriter: w, to: w}
		var z *gzip.Writer
		out.begin = func(status int) {
			if h := w.Header(); status == 200 && h.Get("Content-Encoding") == "" {
				h.Set("Content-Encoding", "gzip")
				h.Del("Content-Length")
				z = gzip.NewWriter(w)
				out.to = z
			}
			w.WriteHeader(status)
		}
		h.ServeHTTP(out, r)
		if z != nil {
			z.Close()
		}
	})
}

// tagging gives every 200 an ETag of its body, and answers by it.
func tagging(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "" {
			h.ServeHTTP(w, r)
			return
		}
		var body strings.Builder
		status := 0
		out := &writing{ResponseWriter: held{w}, to: &body, begin: func(code int) { status = code }}
		h.ServeHTTP(out, r)
		if status == 0 {
			return
		}
		if status == 200 {
			sum := sha256.Sum256([]byte(body.String()))
			w.Header().Set("Etag", fmt.Sprintf("%q", fmt.Sprintf("%x", sum[:8])))
		}
		w.WriteHeader(status)
		io.WriteString(w, body.String())
	})
}

// held hides all but a ResponseWriter's own methods.
type held struct{ http.ResponseWriter }

type quiet struct{}

func (quiet) Print(v ...any) {}
