// Proxy is a caching reverse proxy: net/http/httputil.ReverseProxy with a cache
// before it or inside it, at the reader's choice.
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
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "proxy:", err)
		os.Exit(1)
	}
}

// run proxies until ctx ends.
func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("proxy", flag.ExitOnError)
	originURL := flags.String("origin", "", "the `URL` of the server behind the proxy")
	listen := flags.String("listen", "127.0.0.1:8080", "the `address` to listen on; port 0 takes any that is free")
	face := flags.String("face", "handler", "where the cache is: `handler` or transport")
	flags.Parse(args)

	origin, err := url.Parse(*originURL)
	if err != nil || origin.Host == "" {
		return fmt.Errorf("-origin %q: give a URL like http://127.0.0.1:8000", *originURL)
	}
	handler, err := proxyTo(origin, *face)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", *listen)
	if err != nil {
		return err
	}
	fmt.Printf("http://%s\n", l.Addr())
	return serve(ctx, l, handler)
}

// proxyTo returns a proxy for origin.
func proxyTo(origin *url.URL, face string) (http.Handler, error) {
	direct := http.DefaultTransport.(*http.Transport).Clone()
	direct.DisableCompression = true // what the client accepts is between it and the origin
	proxy := &httputil.ReverseProxy{
		Transport: direct,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(origin)
			r.Out.Host = r.In.Host
			r.SetXForwarded()
		},
	}
	return proxy, nil
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
