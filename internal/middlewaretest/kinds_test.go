package middlewaretest

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A kind is a kind of handler, and a request for it.
type kind struct {
	name   string
	method string   // GET if empty
	fields []string // of the request, such as "Accept", "a"
	status int      // if not zero, the handler returns an error of this status, in its framework's way
	serve  http.HandlerFunc
}

var (
	modified = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	short    = "hello, reader"
	long     = strings.Repeat("0123456789abcdef", 2000)
)

// set returns a handler that sets fields, and then serves.
func set(serve http.HandlerFunc, fields ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		for i := 0; i < len(fields); i += 2 {
			w.Header().Add(fields[i], fields[i+1])
		}
		serve(w, r)
	}
}

func say(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, text) }
}

func status(code int, text string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(code)
		io.WriteString(w, text)
	}
}

func content(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "a.txt", modified, strings.NewReader(text))
	}
}

func panicking(before string, value any) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if before != "" {
			io.WriteString(w, before)
		}
		panic(value)
	}
}

const fresh = "max-age=60"

// kinds returns the kinds of handlers. dir holds a file a.txt.
func kinds(t *testing.T) []kind {
	dir := t.TempDir()
	file := filepath.Join(dir, "a.txt")
	if err := os.WriteFile(file, []byte(long), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(file, modified, modified); err != nil {
		t.Fatal(err)
	}
	files := http.FileServer(http.Dir(dir))
	nothing := func(w http.ResponseWriter, r *http.Request) {}
	return []kind{
		{name: "says nothing of caching", serve: say(short)},
		{name: "short", serve: set(say(short), "Cache-Control", fresh)},
		{name: "long", serve: set(say(long), "Cache-Control", fresh)},
		{name: "typed JSON", serve: set(say(`{"a":1}`), "Cache-Control", fresh, "Content-Type", "application/json")},
		{name: "long and typed", serve: set(say(long), "Cache-Control", fresh, "Content-Type", "text/plain")},
		{name: "in pieces", serve: func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", fresh)
			for range 10 {
				io.WriteString(w, short)
			}
		}},
		{name: "writes nothing", serve: nothing},
		{name: "sets fields and writes nothing", serve: set(nothing, "Cache-Control", fresh, "X-A", "1")},
		{name: "copies an empty file", serve: func(w http.ResponseWriter, r *http.Request) { io.Copy(w, strings.NewReader("")) }},
		{name: "writes a header only", serve: set(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(200) }, "Cache-Control", fresh)},
		{name: "an error of 404", status: 404},
		{name: "an error of 403", status: 403},
		{name: "an error of 500", status: 500},
		{name: "an error of 404 to HEAD", status: 404, method: "HEAD"},
		{name: "an error of 409 to POST", status: 409, method: "POST"},
		{name: "panics", serve: panicking("", "broken")},
		{name: "panics after a few bytes", serve: set(panicking(short, "broken"), "Cache-Control", fresh)},
		{name: "panics after many bytes", serve: set(panicking(long, "broken"), "Cache-Control", fresh)},
		{name: "aborts", serve: set(panicking("", http.ErrAbortHandler), "Cache-Control", fresh)},
		{name: "early hints", serve: func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Link", "</a.css>; rel=preload")
			w.WriteHeader(http.StatusEarlyHints)
			w.Header().Set("Cache-Control", fresh)
			io.WriteString(w, short)
		}},
		{name: "flushes", serve: func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", fresh)
			io.WriteString(w, short)
			http.NewResponseController(w).Flush()
			io.WriteString(w, long)
		}},
		{name: "flushes first", serve: func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "no-store")
			w.Header().Set("Content-Type", "text/plain")
			http.NewResponseController(w).Flush()
			io.WriteString(w, short)
		}},
		{name: "a stream of events", serve: func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			for i := range 3 {
				fmt.Fprintf(w, "data: %d\n\n", i)
				http.NewResponseController(w).Flush()
			}
		}},
		{name: "a stream of events, asked for", fields: []string{"Accept", "text/event-stream"}, serve: set(say("data: 1\n\n"), "Content-Type", "text/event-stream")},
		{name: "hijacks", serve: func(w http.ResponseWriter, r *http.Request) {
			c, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				http.Error(w, "no connection", 500)
				return
			}
			defer c.Close()
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi")
		}},
		{name: "a websocket", fields: []string{"Connection", "Upgrade", "Upgrade", "websocket"}, serve: func(w http.ResponseWriter, r *http.Request) {
			c, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				http.Error(w, "no connection", 500)
				return
			}
			defer c.Close()
			io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nframes")
		}},
		{name: "trailers", serve: func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Trailer", "X-T")
			io.WriteString(w, short)
			w.Header().Set("X-T", "t")
		}},
		{name: "HEAD", method: "HEAD", serve: set(say(short), "Cache-Control", fresh)},
		{name: "HEAD with a length", method: "HEAD", serve: set(nothing, "Cache-Control", fresh, "Content-Length", "12", "Content-Type", "text/plain")},
		{name: "204", serve: set(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(204) }, "Cache-Control", fresh)},
		{name: "304", fields: []string{"If-None-Match", `"a"`}, serve: set(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("If-None-Match") != "" {
				w.WriteHeader(304)
				return
			}
			io.WriteString(w, short)
		}, "Cache-Control", fresh, "Etag", `"a"`)},
		{name: "404", serve: func(w http.ResponseWriter, r *http.Request) { http.NotFound(w, r) }},
		{name: "a fresh 404", serve: set(status(404, short), "Cache-Control", fresh)},
		{name: "418", serve: status(418, short)},
		{name: "503 with Retry-After", serve: set(status(503, short), "Retry-After", "5")},
		{name: "a long length", serve: set(say(short), "Cache-Control", fresh, "Content-Length", "50")},
		{name: "a short length", serve: set(say(short), "Cache-Control", fresh, "Content-Length", "5")},
		{name: "a length", serve: set(say(long), "Cache-Control", fresh, "Content-Length", fmt.Sprint(len(long)))},
		{name: "sets cookies", serve: set(say(short), "Set-Cookie", "a=b", "Set-Cookie", "c=d")},
		{name: "fresh, and sets a cookie", serve: set(say(short), "Cache-Control", fresh, "Set-Cookie", "a=b")},
		{name: "a redirect", serve: func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/b", http.StatusMovedPermanently) }},
		{name: "a redirect for once", serve: func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/b", http.StatusFound) }},
		{name: "content", serve: set(content(long), "Cache-Control", fresh)},
		{name: "a range of content", fields: []string{"Range", "bytes=10-19"}, serve: set(content(long), "Cache-Control", fresh)},
		{name: "content not modified", fields: []string{"If-Modified-Since", modified.Format(http.TimeFormat)}, serve: set(content(long), "Cache-Control", fresh)},
		{name: "a range of what has none", fields: []string{"Range", "bytes=10-19"}, serve: set(say(long), "Cache-Control", fresh)},
		{name: "a file", serve: func(w http.ResponseWriter, r *http.Request) { r.URL.Path = "/a.txt"; files.ServeHTTP(w, r) }},
		{name: "no file", serve: func(w http.ResponseWriter, r *http.Request) { r.URL.Path = "/none"; files.ServeHTTP(w, r) }},
		{name: "reads from a file", serve: func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", fresh)
			f, err := os.Open(file)
			if err != nil {
				panic(err)
			}
			defer f.Close()
			io.Copy(w, f)
		}},
		{name: "sets deadlines", serve: func(w http.ResponseWriter, r *http.Request) {
			rc := http.NewResponseController(w)
			fmt.Fprint(w, rc.SetWriteDeadline(time.Now().Add(time.Minute)), rc.SetReadDeadline(time.Time{}))
		}},
		{name: "echoes a POST", method: "POST", serve: func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) }},
		{name: "varies", serve: set(say(short), "Cache-Control", fresh, "Vary", "Accept-Language")},
		{name: "its own encoding", serve: set(say(short), "Cache-Control", fresh, "Content-Encoding", "br", "Content-Type", "text/plain")},
		{name: "binary", serve: set(func(w http.ResponseWriter, r *http.Request) { w.Write(bytes.Repeat([]byte{0, 1, 2}, 999)) }, "Cache-Control", fresh)},
		{name: "says it twice", serve: func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", fresh)
			w.WriteHeader(201)
			w.WriteHeader(500)
			io.WriteString(w, short)
		}},
	}
}
