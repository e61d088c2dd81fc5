package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// startProxy runs the proxy in front of origin until the test ends, and returns its URL.
func startProxy(t *testing.T, origin http.HandlerFunc, face string, flags ...string) string {
	t.Helper()
	server := httptest.NewServer(origin)
	t.Cleanup(server.Close)
	ctx, cancel := context.WithCancel(t.Context())
	out, printed := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		args := append([]string{"-origin", server.URL, "-listen", "127.0.0.1:0", "-face", face}, flags...)
		err := run(ctx, args, printed)
		printed.CloseWithError(err)
		ended <- err
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the proxy ended with %v", err)
		}
		http.DefaultClient.CloseIdleConnections()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(line)
}

func onBothFaces(t *testing.T, test func(t *testing.T, face string)) {
	for _, face := range []string{"handler", "transport"} {
		t.Run(face, func(t *testing.T) { test(t, face) })
	}
}

// fetch returns the status and the body of what is at url.
func fetch(url string) (status int, body string, err error) {
	resp, err := http.Get(url)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), err
}

// get is fetch, without errors.
func get(t *testing.T, url string) (status int, body string) {
	t.Helper()
	status, body, err := fetch(url)
	if err != nil {
		t.Fatal(err)
	}
	return status, body
}

func TestSecondAnswerComesFromTheCache(t *testing.T) {
	onBothFaces(t, func(t *testing.T, face string) {
		var asked atomic.Int64
		proxy := startProxy(t, func(w http.ResponseWriter, r *http.Request) {
			asked.Add(1)
			w.Header().Set("Cache-Control", "max-age=60")
			w.Header().Set("Set-Cookie", "a=b") // stored, as the proxy's options say
			io.WriteString(w, "page")
		}, face)
		for range 2 {
			if status, body := get(t, proxy+"/"); status != http.StatusOK || body != "page" {
				t.Errorf("got %d %q, want 200 and the page", status, body)
			}
		}
		if n := asked.Load(); n != 1 {
			t.Errorf("the origin was asked %d times, want once", n)
		}
	})
}

func TestLongBodyPassesThrough(t *testing.T) {
	onBothFaces(t, func(t *testing.T, face string) {
		var asked atomic.Int64
		proxy := startProxy(t, func(w http.ResponseWriter, r *http.Request) {
			asked.Add(1)
			w.Header().Set("Cache-Control", "max-age=60")
			io.WriteString(w, "page")
		}, face, "-max-body", "3")
		for range 2 {
			if status, body := get(t, proxy+"/"); status != http.StatusOK || body != "page" {
				t.Errorf("got %d %q, want 200 and the page", status, body)
			}
		}
		if n := asked.Load(); n != 2 {
			t.Errorf("the origin was asked %d times, want twice", n)
		}
	})
}

func TestOriginIsAskedForTheEncodingsThatTheClientAccepts(t *testing.T) {
	onBothFaces(t, func(t *testing.T, face string) {
		var accepted []string
		proxy := startProxy(t, func(w http.ResponseWriter, r *http.Request) {
			accepted = r.Header["Accept-Encoding"]
		}, face)
		client := &http.Client{Transport: &http.Transport{DisableCompression: true, DisableKeepAlives: true}}
		resp, err := client.Get(proxy + "/")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if len(accepted) > 0 {
			t.Errorf("the origin was asked for %q, the client accepts none", accepted)
		}
	})
}

// hangUp ends the connection without an answer.
func hangUp(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

// staleThenGone answers the first request with a response that is stale from the
// start, and every other one not at all.
func staleThenGone(control string) http.HandlerFunc {
	var asked atomic.Int64
	return func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1) > 1 {
			hangUp(w, r)
		}
		w.Header().Set("Cache-Control", control)
		w.Header().Set("ETag", `"1"`)
		w.Header().Set("Age", "20")
		io.WriteString(w, "page")
	}
}

func TestStaleAnswerStandsInForAnOriginThatHangsUp(t *testing.T) {
	onBothFaces(t, func(t *testing.T, face string) {
		proxy := startProxy(t, staleThenGone("max-age=10"), face)
		get(t, proxy+"/")
		if status, body := get(t, proxy+"/"); status != http.StatusOK || body != "page" {
			t.Errorf("got %d %q, want 200 and the stale page", status, body)
		}
	})
}

func TestNoStaleAnswerWhereTheOriginForbidsIt(t *testing.T) {
	onBothFaces(t, func(t *testing.T, face string) {
		for _, control := range []string{
			"max-age=10, must-revalidate", "max-age=10, proxy-revalidate", "max-age=10, s-maxage=10", "max-age=10, no-cache",
		} {
			proxy := startProxy(t, staleThenGone(control), face)
			get(t, proxy+"/")
			if status, _ := get(t, proxy+"/"); status != http.StatusBadGateway {
				t.Errorf("%s: got %d, want 502", control, status)
			}
		}
	})
}

func TestOriginThatHangsUpIsABadGateway(t *testing.T) {
	onBothFaces(t, func(t *testing.T, face string) {
		if status, _ := get(t, startProxy(t, hangUp, face)+"/"); status != http.StatusBadGateway {
			t.Errorf("got %d, want 502", status)
		}
	})
}

func TestClientThatLeavesGetsNoBadGateway(t *testing.T) {
	defer func() {
		if v := recover(); v != http.ErrAbortHandler {
			t.Errorf("unanswered panicked with %v, want http.ErrAbortHandler", v)
		}
	}()
	r := httptest.NewRequest("GET", "/", nil)
	unanswered(httptest.NewRecorder(), r, fmt.Errorf("round trip: %w", context.Canceled))
}

func TestInterimResponsesPassThrough(t *testing.T) {
	onBothFaces(t, func(t *testing.T, face string) {
		proxy := startProxy(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Link", "</style.css>; rel=preload")
			w.WriteHeader(http.StatusEarlyHints)
			w.Header().Del("Link")
			w.Header().Set("Cache-Control", "max-age=60")
			io.WriteString(w, "page")
		}, face)
		var hints []int
		trace := &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
			if h.Get("Link") != "" {
				hints = append(hints, code)
			}
			return nil
		}}
		req, err := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), trace), "GET", proxy+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if len(hints) != 1 || hints[0] != http.StatusEarlyHints {
			t.Errorf("got interim responses %v, want 103", hints)
		}
		if resp.Header.Get("Link") != "" {
			t.Error("a field of the interim response is in the final one")
		}
	})
}

// A page that was stored for the same URL answered those who wanted to switch to
// another protocol.
func TestProtocolIsSwitchedBesideAStoredPage(t *testing.T) {
	onBothFaces(t, func(t *testing.T, face string) {
		proxy := startProxy(t, func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Upgrade") == "" {
				w.Header().Set("Cache-Control", "max-age=60")
				io.WriteString(w, "page")
				return
			}
			conn, rw, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			fmt.Fprint(rw, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
			rw.Flush()
			line, _ := rw.ReadString('\n')
			fmt.Fprint(rw, line)
			rw.Flush()
		}, face)
		get(t, proxy+"/")
		req, err := http.NewRequestWithContext(t.Context(), "GET", proxy+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header = http.Header{"Connection": {"Upgrade"}, "Upgrade": {"echo"}}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		conn, switched := resp.Body.(io.ReadWriter)
		if resp.StatusCode != http.StatusSwitchingProtocols || !switched {
			t.Fatalf("got %s, want 101", resp.Status)
		}
		fmt.Fprint(conn, "hello\n")
		if line, err := bufio.NewReader(conn).ReadString('\n'); line != "hello\n" {
			t.Errorf("the echo is %q, %v", line, err)
		}
	})
}

// Clients of a stream of events waited for the end of the first one's.
func TestEveryClientGetsItsOwnStreamOfEvents(t *testing.T) {
	onBothFaces(t, func(t *testing.T, face string) {
		var asked atomic.Int64
		proxy := startProxy(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			w.Header().Set("Cache-Control", "max-age=60")
			fmt.Fprintf(w, "data: %d\n", asked.Add(1))
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}, face)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second) // who waits for another waits forever
		defer cancel()
		for i := range 2 {
			req, err := http.NewRequestWithContext(ctx, "GET", proxy+"/", nil)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			want := fmt.Sprintf("data: %d\n", i+1)
			if line, err := bufio.NewReader(resp.Body).ReadString('\n'); line != want {
				t.Errorf("got %q, %v, want %q", line, err, want)
			}
		}
	})
}

func TestRequestsUnderWayAreAnsweredBeforeTheEnd(t *testing.T) {
	defer http.DefaultClient.CloseIdleConnections()
	entered, leave := make(chan bool), make(chan bool)
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		entered <- true
		<-leave
		io.WriteString(w, "page")
	}))
	defer origin.Close()
	ctx, stop := context.WithCancel(t.Context())
	out, printed := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, []string{"-origin", origin.URL, "-listen", "127.0.0.1:0"}, printed) }()
	url, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	answered := make(chan string)
	go func() {
		status, body, err := fetch(strings.TrimSpace(url) + "/")
		answered <- fmt.Sprint(status, body, err)
	}()
	<-entered
	stop()
	leave <- true
	if got, want := <-answered, fmt.Sprint(http.StatusOK, "page", nil); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if err := <-ended; err != nil {
		t.Errorf("the proxy ended with %v", err)
	}
}

func TestFlagsThatMakeNoSenseAreRefused(t *testing.T) {
	for _, args := range [][]string{
		{},
		{"-origin", "localhost"},
		{"-origin", "http://127.0.0.1:8000", "-face", "both"},
	} {
		if err := run(t.Context(), args, io.Discard); err == nil {
			t.Errorf("%q was accepted", args)
		}
	}
}
