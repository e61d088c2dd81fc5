// Proxy is a caching reverse proxy: net/http/httputil.ReverseProxy with a cache
// before it or inside it, as its flags say.
//
// Usage:
//
//	go run ./examples/proxy -origin http://127.0.0.1:8000 -listen 127.0.0.1:8080
//
// It prints its address, and ends on SIGINT or SIGTERM once the requests under
// way are answered. Other flags:
//
//	-face handler     the cache is a Handler before the ReverseProxy (the default)
//	-face transport   the cache is a Transport inside the ReverseProxy
//	-redis host:port  responses are shared with other proxies through Redis
//	-max-body bytes   bodies that are longer pass through uncached
//
// Both faces obey the same rules, and the public test suite of HTTP caches runs
// against both; docs/conformance.md has the results. As a Handler the cache
// answers before the proxy does any work. As a Transport it sees requests as
// the origin will see them, after Rewrite, which is the place to be when
// several hosts or paths lead to one resource.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/seed-0226adef/memo"
	"github.com/seed-0226adef/memo/httpcache"
	"github.com/seed-0226adef/memo/store/redisstore"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "proxy:", err)
		os.Exit(1)
	}
}

// run proxies until ctx ends. It prints the proxy's URL once that can be used.
func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("proxy", flag.ExitOnError)
	originURL := flags.String("origin", "", "the `URL` of the server behind the proxy")
	listen := flags.String("listen", "127.0.0.1:8080", "the `address` to listen on; port 0 takes any that is free")
	face := flags.String("face", "handler", "what the cache is: a `handler` or a transport")
	redisAddress := flags.String("redis", "", "share responses through the Redis at this `address`")
	maxBody := flags.Int64("max-body", 8<<20, "store bodies of at most so many `bytes`")
	flags.Parse(args)

	origin, err := url.Parse(*originURL)
	if err != nil || origin.Host == "" {
		return fmt.Errorf("-origin %q: give a URL like http://127.0.0.1:8000", *originURL)
	}
	options := &httpcache.Options{
		Shared:         true,           // as a Transport too: it answers many users
		Partition:      "origin",       // what other proxies store through Redis is for this one, too
		StoreSetCookie: true,           // the origin decides, as RFC 9111, section 7.3, has it
		StaleIfError:   24 * time.Hour, // where the origin does not forbid it
		HeuristicMax:   24 * time.Hour, // for origins that say nothing but Last-Modified
		Ranges:         true,           // nothing before this proxy encodes anew what it sends
		MaxBody:        *maxBody,
	}
	var storing memo.Options
	if *redisAddress != "" {
		client := redis.NewClient(&redis.Options{Addr: *redisAddress})
		defer client.Close()
		storing = memo.Options{memo.Store(redisstore.New(client, nil)), memo.Name("proxy")}
	}
	handler, err := withCache(httpcache.New(options, storing), *face, reverseProxy(origin))
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", *listen)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "http://%s\n", l.Addr())
	return serve(ctx, l, handler)
}

// withCache puts the cache before the proxy, or into it.
func withCache(cache *httpcache.Cache, face string, proxy *httputil.ReverseProxy) (http.Handler, error) {
	switch face {
	case "handler":
		return cache.Handler(proxy), nil
	case "transport":
		proxy.Transport = cache.Transport(proxy.Transport)
		return proxy, nil
	}
	return nil, fmt.Errorf("-face %q: it is a handler or a transport", face)
}

// reverseProxy returns a proxy that keeps nothing.
func reverseProxy(origin *url.URL) *httputil.ReverseProxy {
	direct := http.DefaultTransport.(*http.Transport).Clone()
	direct.DisableCompression = true                 // encodings are between the client and the origin
	direct.MaxIdleConnsPerHost = direct.MaxIdleConns // there is only one host
	return &httputil.ReverseProxy{
		Transport: direct,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(origin)
			r.Out.Host = r.In.Host
			r.SetXForwarded()
		},
		ErrorHandler: unanswered,
	}
}

// unanswered is called when the origin cannot be reached, or hangs up. A cache
// before the proxy learns of it by the 502, and answers with something stale in its
// place if it holds something and may.
func unanswered(w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(err, context.Canceled) {
		panic(http.ErrAbortHandler) // the client has left, so the origin is not to blame
	}
	slog.Warn("proxy: no answer from the origin", "url", r.URL.Redacted(), "error", err)
	w.WriteHeader(http.StatusBadGateway)
}

// serve answers on l until ctx ends, and then what has begun by then.
func serve(ctx context.Context, l net.Listener, h http.Handler) error {
	server := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	patience, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := server.Shutdown(patience); err != nil {
		return errors.Join(err, server.Close())
	}
	return nil
}
