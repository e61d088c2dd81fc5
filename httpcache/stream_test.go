package httpcache_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0226adef/memo/httpcache"
)

// serveOver puts a handler behind a cache and a socket.
func serveOver(t *testing.T, o *httpcache.Options, h http.HandlerFunc) (url string, client *http.Client) {
	t.Helper()
	srv := httptest.NewServer(httpcache.New(o).Handler(h))
	t.Cleanup(srv.Close)
	return srv.URL, srv.Client()
}

func fetch(t *testing.T, client *http.Client, url string) (*http.Response, string) {
	t.Helper()
	res, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(b)
}

func TestTheFirstClientSeesWhatTheHandlerFlushes(t *testing.T) {
	for _, control := range []string{"max-age=60", "no-store"} {
		for _, first := range []string{"a", strings.Repeat("a", 100_000)} {
			proceed := make(chan struct{})
			url, client := serveOver(t, nil, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Cache-Control", control)
				io.WriteString(w, first)
				if err := http.NewResponseController(w).Flush(); err != nil {
					t.Error(err)
				}
				<-proceed
				io.WriteString(w, "b")
			})
			res, err := client.Get(url)
			if err != nil {
				t.Fatal(err)
			}
			got := make([]byte, len(first))
			if _, err := io.ReadFull(res.Body, got); err != nil || string(got) != first {
				t.Errorf("before the end: got %d bytes, %v", len(got), err)
			}
			close(proceed)
			if rest, err := io.ReadAll(res.Body); err != nil || string(rest) != "b" {
				t.Errorf("at the end: got %q, %v", rest, err)
			}
			res.Body.Close()
		}
	}
}

// A slowWriter is a client that does not read after its header.
type slowWriter struct {
	http.ResponseWriter
	reads chan struct{}
}

func (w slowWriter) Write(p []byte) (int, error) {
	<-w.reads
	return w.ResponseWriter.Write(p)
}

func TestAFirstClientThatDoesNotReadHoldsUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		want := page("/page", 100_000)
		s := newSite(nil, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "max-age=60")
			w.Write(want[:50_000])
			w.Write(want[50_000:])
		})
		slow := slowWriter{httptest.NewRecorder(), make(chan struct{})}
		done := make(chan struct{})
		go func() { s.ServeHTTP(slow, request("GET", "/page")); close(done) }()
		synctest.Wait()
		if got := body(t, s.get("/page")); !isPage("/page", []byte(got)) {
			t.Errorf("the second client got %d bytes", len(got))
		}
		s.wantRuns(t, 1)
		close(slow.reads)
		<-done
		if got := slow.ResponseWriter.(*httptest.ResponseRecorder).Body.Bytes(); !isPage("/page", got) {
			t.Errorf("the first client got %d bytes", len(got))
		}
	})
}

// A stuckWriter is a client that does not take what is flushed.
type stuckWriter struct {
	http.ResponseWriter
	reads chan struct{}
}

func (w stuckWriter) Flush() { <-w.reads }

// The handler flushed to its client itself, and stood still if that did not read.
func TestAFirstClientThatTakesNoFlushHoldsUpNobody(t *testing.T) {
	for _, size := range []int{10, 100_000} {
		synctest.Test(t, func(t *testing.T) {
			want := page("/page", size)
			s := newSite(nil, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Cache-Control", "max-age=60")
				w.Write(want[:size/2])
				w.(http.Flusher).Flush()
				w.Write(want[size/2:])
				w.(http.Flusher).Flush()
			})
			stuck := stuckWriter{httptest.NewRecorder(), make(chan struct{})}
			first, second := make(chan struct{}), make(chan string, 1)
			go func() { s.ServeHTTP(stuck, request("GET", "/page")); close(first) }()
			synctest.Wait()
			go func() { second <- body(t, s.get("/page")) }()
			synctest.Wait()
			select {
			case got := <-second:
				if !isPage("/page", []byte(got)) {
					t.Errorf("the second client got %d bytes", len(got))
				}
			default:
				t.Error("the second client waits for the first to read")
			}
			close(stuck.reads)
			<-first
			if got := stuck.ResponseWriter.(*httptest.ResponseRecorder).Body.Bytes(); !isPage("/page", got) {
				t.Errorf("the first client got %d bytes", len(got))
			}
			s.wantRuns(t, 1)
		})
	}
}

// The bytes beyond the Content-Length were copied, and the handler was not told.
func TestMoreThanTheContentLengthIsRefusedAsWithoutACache(t *testing.T) {
	handlers := map[string]func(http.ResponseWriter) error{
		"a second write": func(w http.ResponseWriter) error {
			io.WriteString(w, "hello")
			_, err := io.WriteString(w, " world")
			return err
		},
		"after a flush": func(w http.ResponseWriter) error {
			io.WriteString(w, "hello")
			w.(http.Flusher).Flush()
			_, err := io.WriteString(w, " world")
			return err
		},
		"one write": func(w http.ResponseWriter) error {
			_, err := io.WriteString(w, "hello world")
			return err
		},
	}
	for name, write := range handlers {
		t.Run(name, func(t *testing.T) {
			told := make(chan error, 1)
			h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Cache-Control", "max-age=60")
				w.Header().Set("Content-Length", "5")
				told <- write(w)
			})
			see := func(url string) string {
				res, err := http.Get(url)
				if err != nil {
					return fmt.Sprint(err, <-told)
				}
				defer res.Body.Close()
				b, err := io.ReadAll(res.Body)
				return fmt.Sprintf("%q, %v; the handler: %v", b, err, <-told)
			}
			defer http.DefaultClient.CloseIdleConnections()
			bare := httptest.NewServer(h)
			defer bare.Close()
			want := see(bare.URL)
			url, _ := serveOver(t, nil, h)
			for range 2 {
				if got := see(url); got != want {
					t.Errorf("got %s, without a cache it is %s", got, want)
				}
			}
		})
	}
}

func TestAHandlerThatPanicsWhileItsClientDoesNotReadReturns(t *testing.T) {
	returned := make(chan struct{})
	h := httpcache.New(nil).Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		w.Write(make([]byte, 8<<20))
		panic(http.ErrAbortHandler)
	}))
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(returned)
		h.ServeHTTP(w, r)
	}))
	defer srv.Close()
	res, err := srv.Client().Get(srv.URL)
	<-returned
	if err == nil {
		_, err = io.Copy(io.Discard, res.Body)
		res.Body.Close()
	}
	if err == nil {
		t.Error("the client takes half a response for a whole one")
	}
}

func TestInterimResponsesArePassedOn(t *testing.T) {
	url, client := serveOver(t, nil, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</style.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Del("Link")
		w.Header().Set("Cache-Control", "max-age=60")
		io.WriteString(w, "hello")
	})
	var hints atomic.Int64
	for range 2 {
		req, _ := http.NewRequest("GET", url, nil)
		req = req.WithContext(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{
			Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
				if code == 103 && h.Get("Link") != "" {
					hints.Add(1)
				}
				return nil
			},
		}))
		res, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if b, _ := io.ReadAll(res.Body); string(b) != "hello" || res.Header.Get("Link") != "" {
			t.Errorf("got %q, %v", b, res.Header)
		}
		res.Body.Close()
	}
	if hints.Load() != 1 {
		t.Errorf("%d early hints, want those of the run", hints.Load())
	}
}

func TestAConnectionCanBeHijacked(t *testing.T) {
	for _, upgrade := range []bool{true, false} {
		url, _ := serveOver(t, nil, func(w http.ResponseWriter, r *http.Request) {
			conn, rw, err := w.(http.Hijacker).Hijack()
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
		})
		conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: a\r\n")
		if upgrade {
			fmt.Fprint(conn, "Connection: Upgrade\r\nUpgrade: echo\r\n")
		}
		fmt.Fprint(conn, "\r\nhello\n")
		r := bufio.NewReader(conn)
		res, err := http.ReadResponse(r, nil)
		if err != nil || res.StatusCode != 101 {
			t.Fatalf("got %v, %v", res, err)
		}
		if line, err := r.ReadString('\n'); line != "hello\n" {
			t.Errorf("the echo is %q, %v", line, err)
		}
		conn.Close()
	}
}

func TestStreamsOfEventsPassThrough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(nil, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			w.Header().Set("Cache-Control", "max-age=60")
			time.Sleep(time.Second)
			io.WriteString(w, "data: a\n\n")
		})
		for range 3 {
			go s.get("/", "Accept: text/event-stream")
		}
		synctest.Wait()
		s.wantRuns(t, 3)
		time.Sleep(time.Second)
	})
}

func TestTrailersAreStored(t *testing.T) {
	url, client := serveOver(t, nil, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		w.Header().Set("Trailer", "X-Sum")
		io.WriteString(w, "hello")
		w.Header().Set("X-Sum", "1")
		w.Header().Set(http.TrailerPrefix+"X-More", "2")
	})
	for i := range 2 {
		res, b := fetch(t, client, url)
		if b != "hello" || res.Trailer.Get("X-Sum") != "1" || res.Trailer.Get("X-More") != "2" || res.Header.Get("X-Sum") != "" {
			t.Errorf("%d: got %q, header %v, trailer %v", i, b, res.Header, res.Trailer)
		}
	}
}

func TestFilesAreServedWhole(t *testing.T) {
	dir := t.TempDir()
	want := page("file", 1<<20)
	if err := os.WriteFile(filepath.Join(dir, "a.txt"), want, 0o600); err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-time.Hour)
	os.Chtimes(filepath.Join(dir, "a.txt"), old, old)
	for _, maxBody := range []int64{0, 1000} {
		url, client := serveOver(t, &httpcache.Options{MaxBody: maxBody}, http.FileServer(http.Dir(dir)).ServeHTTP)
		for i := range 2 {
			if _, b := fetch(t, client, url+"/a.txt"); b != string(want) {
				t.Errorf("MaxBody %d, %d: got %d bytes", maxBody, i, len(b))
			}
		}
	}
}

func TestAResponseControllerReachesTheConnection(t *testing.T) {
	url, client := serveOver(t, nil, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		if err := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Error(err)
		}
		if err := http.NewResponseController(w).EnableFullDuplex(); err != nil {
			t.Error(err)
		}
	})
	fetch(t, client, url)
}

func TestEncodingsAreVariants(t *testing.T) {
	s := newSite(nil, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		w.Header().Set("Vary", "Accept-Encoding")
		if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
			w.Header().Set("Content-Encoding", "gzip")
			io.WriteString(w, "zipped")
			return
		}
		io.WriteString(w, "plain")
	})
	for range 2 {
		if res := s.get("/", "Accept-Encoding: gzip, br"); body(t, res) != "zipped" || res.Header.Get("Content-Encoding") != "gzip" || res.Header.Get("Content-Type") != "" {
			t.Errorf("got %v", res.Header)
		}
		if res := s.get("/"); body(t, res) != "plain" || res.Header.Get("Content-Encoding") != "" {
			t.Errorf("got %v", res.Header)
		}
	}
	s.get("/", "Accept-Encoding: br,gzip")
	s.wantRuns(t, 2)
}
