package main

import (
	"bytes"
	"fmt"
	"net/http"

	"github.com/seed-0226adef/memo/httpcache"
)

// names are the handlers, in the order of the table.
var names = []string{"bare", "map", "cached"}

var body = bytes.Repeat([]byte("0123456789abcdef"), 2<<10/16)

func handlerNamed(name string) (http.Handler, error) {
	switch name {
	case "bare":
		return http.HandlerFunc(bare), nil
	case "map":
		return fromMap(), nil
	case "cached":
		return cached(), nil
	}
	return nil, fmt.Errorf("no handler is called %q", name)
}

// bare writes two kilobytes and says that they may be kept for an hour. It has them
// ready: any work that a real handler does would flatter the cache.
func bare(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "max-age=3600")
	w.Write(body)
}

// fromMap is the least that anything can do that looks up what it answers.
func fromMap() http.Handler {
	pages := map[string][]byte{"/": body}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		page, ok := pages[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Write(page)
	})
}

func cached() http.Handler { return httpcache.New(nil).Handler(http.HandlerFunc(bare)) }
