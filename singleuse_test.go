package memo

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"database/sql"
	"encoding/csv"
	"encoding/gob"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"log/slog"
	"mime/multipart"
	"net"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"text/template"
	"time"
)

// refusedResult returns what New panics with for a result of type R.
func refusedResult[R any](opts ...Option) string {
	return panicOf(func() {
		New(func(context.Context, int) (r R, err error) { return }, append([]Option{Name("pages.get")}, opts...)...)
	})
}

type (
	bodied  struct{ body io.ReadCloser }
	dialed  struct{ conn net.Conn } // has a method, so the connection is its own affair
	pgxRows interface {
		Close()
		Err() error
		Next() bool
		Scan(dest ...any) error
	}
	pooled struct {
		sync.Mutex
		Idle []net.Conn
	}
	selfish  struct{ Next *selfish }
	answered struct{ Parts map[string]any }
	paged    struct{ page int }
	streamed interface {
		Recv() (*paged, error)
		RecvMsg(m any) error
	}
)

var _ = []any{bodied{}.body, dialed{}.conn, paged{}.page} // which only reflection looks at

func (p *paged) Next() (string, error) { return "", io.EOF }

func (d *dialed) Query(string) string { return "" }

func TestResultsThatCanBeUsedOnceAreRefused(t *testing.T) {
	const advice = ` can be used only once, and results are shared; return what it holds, such as the bytes that are read from it, or give Clone, or tag a field that callers do not use memo:"-"`
	for want, got := range map[string]string{
		"(io.Reader)":                     refusedResult[io.Reader](),
		"(io.ReadCloser)":                 refusedResult[io.ReadCloser](),
		"(*strings.Reader)":               refusedResult[*strings.Reader](),
		"(*bytes.Buffer)":                 refusedResult[*bytes.Buffer](),
		"(bytes.Buffer)":                  refusedResult[bytes.Buffer](),
		"(*os.File)":                      refusedResult[*os.File](),
		"(net.Conn)":                      refusedResult[net.Conn](),
		"(*bufio.Reader)":                 refusedResult[*bufio.Reader](),
		"(*bufio.Scanner)":                refusedResult[*bufio.Scanner](),
		"(*gzip.Reader)":                  refusedResult[*gzip.Reader](),
		"(*csv.Reader)":                   refusedResult[*csv.Reader](),
		"field r (io.Reader)":             refusedResult[*json.Decoder](),
		"(gob.Decoder)":                   refusedResult[*gob.Decoder](),
		"field bufReader (*bufio.Reader)": refusedResult[*multipart.Reader](),
		"field Body (io.ReadCloser)":      refusedResult[*http.Response](),
		"field [].Body (io.ReadCloser)":   refusedResult[map[string]http.Response](),
		"(*sql.Rows)":                     refusedResult[*sql.Rows](),
		"(*sql.Row)":                      refusedResult[*sql.Row](),
		"(*sql.Tx)":                       refusedResult[*sql.Tx](),
		"(sql.Conn)":                      refusedResult[*sql.Conn](),
		"(memo.pgxRows)":                  refusedResult[pgxRows](),
		"(memo.paged)":                    refusedResult[*paged](),
		"(memo.streamed)":                 refusedResult[streamed](),
		"(io.RuneReader)":                 refusedResult[io.RuneReader](),
		"(chan int)":                      refusedResult[chan int](),
		"(<-chan int)":                    refusedResult[<-chan int](),
		"field C (<-chan time.Time)":      refusedResult[*time.Timer](),
		"(iter.Seq[int])":                 refusedResult[iter.Seq[int]](),
		"(iter.Seq2[string,int])":         refusedResult[iter.Seq2[string, int]](),
		"(func(func(string) bool))":       refusedResult[func(yield func(string) bool)](),
		"(context.Context)":               refusedResult[context.Context](),
		"field body (io.ReadCloser)":      refusedResult[bodied](),
		"field [][].body (io.ReadCloser)": refusedResult[map[int][]*bodied](),
		"field Page.body (io.ReadCloser)": refusedResult[struct{ Page *bodied }](),
		"field Ctx (context.Context)":     refusedResult[struct{ Ctx context.Context }](),
		"field All (iter.Seq[bool])":      refusedResult[struct{ All iter.Seq[bool] }](),
	} {
		if got != "memo: pages.get: result "+want+advice {
			t.Errorf("got  %s\nwant memo: pages.get: result %s%s", got, want, advice)
		}
	}
	if got := panicOf(func() {
		NewBatch(func(context.Context, []int) (map[int]io.Reader, error) { return nil, nil })
	}); !strings.Contains(got, "(io.Reader) can be used only once") {
		t.Errorf("NewBatch: %q", got)
	}
	if got := panicOf(func() {
		Wrap0(func(context.Context) (io.Reader, error) { return nil, nil }, Disabled(true))
	}); !strings.Contains(got, "(io.Reader) can be used only once") {
		t.Errorf("Wrap0, disabled: %q", got)
	}
}

func TestResultsThatCanBeUsedAgainAreAccepted(t *testing.T) {
	for name, got := range map[string]string{
		"an interface":            refusedResult[any](),
		"a client":                refusedResult[*http.Client](),
		"a transport":             refusedResult[*http.Transport](),
		"a pool":                  refusedResult[*sql.DB](),
		"a prepared statement":    refusedResult[*sql.Stmt](),
		"a template":              refusedResult[*template.Template](),
		"a pattern":               refusedResult[*regexp.Regexp](),
		"a logger":                refusedResult[*slog.Logger](),
		"a URL":                   refusedResult[*url.URL](),
		"a handler":               refusedResult[http.Handler](),
		"a function":              refusedResult[func(int) string](),
		"an error":                refusedResult[error](),
		"a type with a lock":      refusedResult[*pooled](),
		"a connection of its own": refusedResult[*dialed](),
		"a list of itself":        refusedResult[selfish](),
		"a reader that is tagged": refusedResult[struct {
			Body io.Reader `memo:"-"`
		}](),
		"a reader that is cloned": refusedResult[*bytes.Reader](Clone(func(r *bytes.Reader) *bytes.Reader { c := *r; return &c })),
		"a nullable string":       refusedResult[sql.NullString](),
		"a time":                  refusedResult[time.Time](),
		"a header":                refusedResult[http.Header](),
	} {
		if got != "" {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// What an interface holds shows when it is there. Every caller once got the one reader,
// and all but the first read nothing from it.
func TestResultThatCanBeUsedOnceInAnInterfaceIsGivenToOneCaller(t *testing.T) {
	for name, fn := range map[string]func() any{
		"itself":         func() any { return strings.NewReader("text") },
		"in a struct":    func() any { return &answered{map[string]any{"n": 1, "body": strings.NewReader("text")}} },
		"in a slice":     func() any { return []any{nil, strings.NewReader("text")} },
		"a map's key":    func() any { return map[any]int{strings.NewReader("text"): 1} },
		"late":           func() any { return append(make([]any, 5000), strings.NewReader("text")) },
		"of a type made": func() any { return http.Response{Body: io.NopCloser(strings.NewReader("text"))} },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log lockedBuffer
				f := New(func(context.Context, int) (any, error) { time.Sleep(time.Second); return fn(), nil },
					Name("f"), StaleIfError(time.Hour), Logger(slog.New(slog.NewTextHandler(&log, nil))))
				var wg sync.WaitGroup
				for range 5 {
					wg.Go(func() {
						v, err := f.Call(t.Context(), 1)
						if got := read(v); got != "text" || err != nil {
							t.Errorf("got %q, %v, want a reader of its own", got, err)
						}
					})
				}
				wg.Wait()
				if s := f.Stats(); s.Executions != 5 || s.Entries != 0 {
					t.Errorf("%d executions, %d entries, want 5 and none", s.Executions, s.Entries)
				}
				if n := strings.Count(log.String(), "level=WARN"); n != 1 {
					t.Errorf("logged %d times, want once:\n%s", n, log.String())
				}
				if err := f.Set(t.Context(), 1, fn()); err == nil || !strings.HasPrefix(err.Error(), "memo: f: Set: result ") {
					t.Errorf("Set: %v, want an error", err)
				}
				if _, err := f.Peek(t.Context(), 1); !errors.Is(err, ErrMiss) {
					t.Errorf("Peek: %v, want ErrMiss", err)
				}
			})
		})
	}
}

// read reads the reader that is somewhere in v.
func read(v any) string {
	var r io.Reader
	switch v := v.(type) {
	case io.Reader:
		r = v
	case []any:
		return read(v[len(v)-1])
	case map[any]int:
		for k := range v {
			return read(k)
		}
	case http.Response:
		r = v.Body
	case *answered:
		return read(v.Parts["body"])
	}
	b, _ := io.ReadAll(r)
	return string(b)
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func TestInterfacesThatHoldDataAreKept(t *testing.T) {
	f := New(func(context.Context, int) (any, error) {
		return map[string]any{"a": []any{1, "b", nil, &url.URL{}}, "client": http.DefaultClient, "none": (*http.Response)(nil)}, nil
	})
	for range 2 {
		f.Call(t.Context(), 1)
	}
	if got := f.Stats().Executions; got != 1 {
		t.Errorf("%d executions, want 1", got)
	}
}
