package memo

import (
	"bufio"
	"container/list"
	"context"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/tls"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"log"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"text/template"
	"time"
	"unsafe"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-0226adef/memo/codec"
	"github.com/seed-0226adef/memo/internal/keys"
	"github.com/seed-0226adef/memo/store/memstore"
)

// refusal returns what New panics with for an argument of type A.
func refusal[A any](opts ...Option) string {
	return panicOf(func() {
		New(func(context.Context, A) (int, error) { return 0, nil }, append([]Option{Name("users.search")}, opts...)...)
	})
}

// panicOf returns what f panics with, in words; "" if it does not.
func panicOf(f func()) (said string) {
	defer func() {
		if v := recover(); v != nil {
			said = fmt.Sprint(v)
		}
	}()
	f()
	return ""
}

type (
	filter struct {
		Hook func()
	}
	inContext struct {
		context.Context
		_ int
	}
	guarded struct {
		sync.Mutex
		_ int
	}
	spinLock struct{ held uint32 }
	tree     struct {
		Left, Right *tree
		Visit       func(*tree)
	}
	forest struct{ Trees map[string][]*tree }
)

func (l *spinLock) Lock()   { l.held = 1 }
func (l *spinLock) Unlock() { l.held = 0 }

func TestTypesThatCannotBeKeysAreRefused(t *testing.T) {
	const advice = ` cannot be part of a key; tag it memo:"-" or give KeyFunc`
	for _, tt := range []struct{ got, want string }{
		{refusal[struct{ Filter filter }](), "argument field Filter.Hook (func())"},
		{refusal[struct{ Filter *filter }](), "argument field Filter.Hook (func())"},
		{refusal[struct{ hook func(int) error }](), "argument field hook (func(int) error)"},
		{refusal[struct{ filter }](), "argument field filter.Hook (func())"},
		{refusal[func()](), "argument (func())"},
		{refusal[**func()](), "argument (func())"},
		{refusal[[]func()](), "argument field [] (func())"},
		{refusal[[2]func()](), "argument field [] (func())"},
		{refusal[map[string]func()](), "argument field [] (func())"},
		{refusal[map[chan int]string](), "argument field [key] (chan int)"},
		{refusal[struct{ Hooks map[int][]filter }](), "argument field Hooks[][].Hook (func())"},
		{refusal[chan int](), "argument (chan int)"},
		{refusal[struct{ Done <-chan struct{} }](), "argument field Done (<-chan struct {})"},
		{refusal[unsafe.Pointer](), "argument (unsafe.Pointer)"},
		{refusal[struct{ at unsafe.Pointer }](), "argument field at (unsafe.Pointer)"},
		{refusal[context.Context](), "argument (context.Context)"},
		{refusal[struct{ Ctx context.Context }](), "argument field Ctx (context.Context)"},
		{refusal[inContext](), "argument (memo.inContext)"},
		{refusal[sync.Mutex](), "argument (sync.Mutex)"},
		{refusal[sync.Locker](), "argument (sync.Locker)"},
		{refusal[struct{ mu sync.Mutex }](), "argument field mu (sync.Mutex)"},
		{refusal[struct{ mu *sync.RWMutex }](), "argument field mu (sync.RWMutex)"},
		{refusal[*guarded](), "argument field Mutex (sync.Mutex)"},
		{refusal[struct{ once sync.Once }](), "argument field once (sync.Once)"},
		{refusal[struct{ wg sync.WaitGroup }](), "argument field wg (sync.WaitGroup)"},
		{refusal[struct{ pool *sync.Pool }](), "argument field pool (sync.Pool)"},
		{refusal[struct{ m sync.Map }](), "argument field m (sync.Map)"},
		{refusal[struct{ lock spinLock }](), "argument field lock (memo.spinLock)"},
		{refusal[struct{ n atomic.Int64 }](), "argument field n (atomic.Int64)"},
		{refusal[struct{ p atomic.Pointer[int] }](), "argument field p (atomic.Pointer[int])"},
		{refusal[struct{ v *atomic.Value }](), "argument field v (atomic.Value)"},
		{refusal[*http.Request](), "argument (http.Request)"},
		{refusal[struct{ Req *http.Request }](), "argument field Req (http.Request)"},
		{refusal[tree](), "argument field Visit (func(*memo.tree))"},
		{refusal[forest](), "argument field Trees[][].Visit (func(*memo.tree))"},
	} {
		if diff := cmp.Diff("memo: users.search: "+tt.want+advice, tt.got); diff != "" {
			t.Error(diff)
		}
	}
}

// Each of these was accepted, and every call with one was a KeyError.
func TestTypesOfWhichNoValueIsAKeyAreRefused(t *testing.T) {
	type acting interface {
		http.Handler
		Name() string
	}
	const advice = ` cannot be part of a key; tag it memo:"-" or give KeyFunc`
	for _, tt := range []struct{ got, want string }{
		{refusal[struct{ Log *slog.Logger }](), "argument field Log (slog.Logger)"},
		{refusal[*slog.Logger](), "argument (slog.Logger)"},
		{refusal[slog.Handler](), "argument (slog.Handler)"},
		{refusal[slog.Attr](), "argument (slog.Attr)"},
		{refusal[struct{ log *log.Logger }](), "argument field log (log.Logger)"},
		{refusal[io.Reader](), "argument (io.Reader)"},
		{refusal[struct{ Body io.ReadCloser }](), "argument field Body (io.ReadCloser)"},
		{refusal[io.Writer](), "argument (io.Writer)"},
		{refusal[net.Conn](), "argument (net.Conn)"},
		{refusal[net.Listener](), "argument (net.Listener)"},
		{refusal[*os.File](), "argument (os.File)"},
		{refusal[*bufio.Reader](), "argument (bufio.Reader)"},
		{refusal[*json.Decoder](), "argument (json.Decoder)"},
		{refusal[*sql.DB](), "argument (sql.DB)"},
		{refusal[struct{ DB *sql.DB }](), "argument field DB (sql.DB)"},
		{refusal[*sql.Tx](), "argument (sql.Tx)"},
		{refusal[http.Handler](), "argument (http.Handler)"},
		{refusal[acting](), "argument (memo.acting)"},
		{refusal[http.RoundTripper](), "argument (http.RoundTripper)"},
		{refusal[http.ResponseWriter](), "argument (http.ResponseWriter)"},
		{refusal[*http.Client](), "argument (http.Client)"},
		{refusal[*http.Response](), "argument (http.Response)"},
		{refusal[*tls.Config](), "argument (tls.Config)"},
		{refusal[*template.Template](), "argument (template.Template)"},
		{refusal[*rand.Rand](), "argument (rand.Rand)"},
		{refusal[rand.Source](), "argument (rand.Source)"},
		{refusal[*ecdsa.PublicKey](), "argument (ecdsa.PublicKey)"},
		{refusal[*ecdh.PublicKey](), "argument (ecdh.PublicKey)"},
		{refusal[reflect.Type](), "argument (reflect.Type)"},
		{refusal[*list.List](), "argument (list.List)"},
		{refusal[struct{ Text strings.Builder }](), "argument field Text (strings.Builder)"},
		{refusal[*time.Timer](), "argument (time.Timer)"},
		{refusal[*exec.Cmd](), "argument (exec.Cmd)"},
		{refusal[iter.Seq[int]](), "argument (iter.Seq[int])"},
		{refusal[*runtime.Func](), "argument (runtime.Func)"},
		{refusal[testing.TB](), "argument (testing.TB)"},
	} {
		if diff := cmp.Diff("memo: users.search: "+tt.want+advice, tt.got); diff != "" {
			t.Error(diff)
		}
	}
}

func TestARefusalSaysWhichArgument(t *testing.T) {
	name := Name("users.search")
	for _, tt := range []struct{ got, want string }{
		{panicOf(func() {
			Wrap2(func(context.Context, int, filter) (int, error) { return 0, nil }, name)
		}), `memo: users.search: argument 2 field Hook (func()) cannot be part of a key; tag it memo:"-" or use New with a struct for the arguments and KeyFunc`},
		{panicOf(func() {
			Wrap2(func(context.Context, []func(), int) (int, error) { return 0, nil }, name)
		}), `memo: users.search: argument 1 field [] (func()) cannot be part of a key; tag it memo:"-" or use New with a struct for the arguments and KeyFunc`},
		{panicOf(func() {
			Wrap3(func(context.Context, int, int, chan int) (int, error) { return 0, nil }, name)
		}), `memo: users.search: argument 3 (chan int) cannot be part of a key; tag it memo:"-" or use New with a struct for the arguments and KeyFunc`},
		{panicOf(func() {
			Pure(func(filter) int { return 0 }, name)
		}), `memo: users.search: argument field Hook (func()) cannot be part of a key; tag it memo:"-" or give KeyFunc`},
	} {
		if diff := cmp.Diff(tt.want, tt.got); diff != "" {
			t.Error(diff)
		}
	}
}

// A message is one by its method, as generated code has it.
type message struct {
	_    sync.Mutex
	Name string
}

func (*message) ProtoReflect() any { return nil }

// The advice to tag a field is of no use for generated code.
func TestAProtobufMessageIsRefusedByTheNameOfTheModuleThatHelps(t *testing.T) {
	const module = "import github.com/seed-0226adef/memo/contrib/proto"
	for _, said := range []string{refusal[*message](), refusal[struct{ M []*message }](), refusal[map[string]message]()} {
		if !strings.Contains(said, "is a protobuf message") || !strings.Contains(said, module) {
			t.Errorf("New panics with %q, want %q", said, module)
		}
	}
	for _, c := range []codec.Codec{codec.JSON, codec.MsgPack, codec.Gob} {
		said := panicOf(func() {
			New(func(context.Context, int) (*message, error) { return nil, nil }, Name("m"), Store(memstore.New(nil)), Codec(c))
		})
		if !strings.Contains(said, module) {
			t.Errorf("%s: New panics with %q, want %q", c.Name(), said, module)
		}
	}
	_ = message{Name: ""}
}

// A codec that a user made from another one was not checked, and lost the field.
func TestACodecOfAUsersOwnIsTried(t *testing.T) {
	type secretive struct {
		Shown  int
		secret string
	}
	type wrapped struct{ codec.Codec }
	for _, c := range []codec.Codec{codec.JSON, wrapped{codec.JSON}, wrapped{wrapped{codec.Gob}}} {
		said := panicOf(func() {
			New(func(context.Context, int) (secretive, error) { return secretive{secret: "s"}, nil }, Name("m"), Store(memstore.New(nil)), Codec(c))
		})
		if !strings.Contains(said, "result field secret (string) is unexported") {
			t.Errorf("%T: New panics with %q", c, said)
		}
	}
}

// A bareCodec is encoding/json, and nothing that looks after what it loses.
type bareCodec struct{}

func (bareCodec) Name() string { return "bare" }

func (bareCodec) Append(dst []byte, v any) ([]byte, error) {
	b, err := json.Marshal(v)
	return append(dst, b...), err
}

func (bareCodec) Decode(data []byte, v any) error { return json.Unmarshal(data, v) }

// What is in an interface came to the next process as another type.
func TestWhatACodecOfAUsersOwnWouldChangeIsNotStored(t *testing.T) {
	s := memstore.New(nil)
	for range 2 { // processes
		f := New(func(context.Context, int) (map[string]any, error) { return map[string]any{"n": 1}, nil },
			Name("held"), SharedName(), Store(s), Codec(bareCodec{}), Logger(slog.New(slog.DiscardHandler)))
		got, err := f.Call(t.Context(), 1)
		if diff := cmp.Diff(map[string]any{"n": 1}, got); diff != "" || err != nil {
			t.Errorf("%v (-want +got)\n%s", err, diff)
		}
	}
}

func TestWhatLooksLikeNoKeyIsAccepted(t *testing.T) {
	type cyclic struct {
		Left, Right *cyclic
		Down        map[string][]cyclic
		Any         any
	}
	for name, got := range map[string]string{
		"a recursive type":          refusal[cyclic](),
		"a pointer to one":          refusal[*cyclic](),
		"an interface":              refusal[any](),
		"an interface with methods": refusal[fmt.Stringer](),
		"an error":                  refusal[error](),
		"a func that is tagged":     refusal[ignoring](),
		"a lock that is tagged": refusal[struct {
			mu sync.Mutex `memo:"-"`
		}](),
		"a context that is tagged": refusal[struct {
			Ctx context.Context `memo:"-"`
		}](),
		"a func that names itself": refusal[struct{ F callback }](),
		"a zero-length array of funcs": refusal[struct {
			_ [0]func()
			N int
		}](),
		"nothing":                         refusal[struct{}](),
		"anything with a KeyFunc":         refusal[filter](KeyFunc(func(filter) string { return "" })),
		"a request with a KeyFunc":        refusal[*http.Request](KeyFunc(func(r *http.Request) string { return r.URL.Path })),
		"headers, which are not requests": refusal[http.Header](),
		"a logger that is tagged": refusal[struct {
			ID  int
			Log *slog.Logger `memo:"-"`
		}](),
		"a handler that names itself": refusal[interface {
			http.Handler
			Keyer
		}](),
		"an address, of any network": refusal[net.Addr](),
		"a file system":              refusal[fs.FS](),
		"a key of RSA":               refusal[*rsa.PublicKey](),
	} {
		if got != "" {
			t.Errorf("%s: %s", name, got)
		}
	}
}

func TestAKeyFuncOfAnotherTypeIsRefused(t *testing.T) {
	got := refusal[int](KeyFunc(func(string) string { return "" }))
	want := "memo: users.search: KeyFunc was given a func(string) string; this function needs a func(int) string"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

type chain struct{ Next *chain }

func chainOf(n int) (c *chain) {
	for range n {
		c = &chain{c}
	}
	return c
}

type nest struct{ Held any }

func nestOf(n int) (v nest) {
	for range n {
		v = nest{v}
	}
	return v
}

type twins struct{ L, R *twins }

var errText = errors.New("no text today")

type textless struct{}

func (textless) MarshalText() ([]byte, error) { return nil, errText }

// refusedCall calls a memoized function with an argument that has no key.
func refusedCall[A any](t *testing.T, a A) *KeyError {
	t.Helper()
	fn := func(context.Context, A) (int, error) {
		t.Error("fn ran")
		return 0, nil
	}
	f := New(fn, Name("f"))
	_, err := f.Call(t.Context(), a)
	var unkeyed *KeyError
	if !errors.As(err, &unkeyed) {
		t.Fatalf("Call: %v, want a *KeyError", err)
	}
	for name, call := range map[string]func() error{
		"Call again": func() error { _, err := f.Call(t.Context(), a); return err },
		"Refresh":    func() error { _, err := f.Refresh(t.Context(), a); return err },
		"Peek":       func() error { _, err := f.Peek(t.Context(), a); return err },
		"Set":        func() error { return f.Set(t.Context(), a, 1) },
		"Invalidate": func() error { return f.Invalidate(t.Context(), a) },
		"Key":        func() error { _, err := f.Key(a); return err },
	} {
		if got := call(); got == nil || got.Error() != err.Error() {
			t.Errorf("%s: %v, want %v", name, got, err)
		}
	}
	return unkeyed
}

func TestAnArgumentWithoutAKeyIsAnErrorOfTheCall(t *testing.T) {
	tests := []struct {
		name string
		err  *KeyError
		want string
	}{
		{"a func in an interface", refusedCall(t, any(func() {})), "memo: f: argument: (func()) cannot be part of a key"},
		{"a chan below one", refusedCall(t, struct{ Filter nest }{nest{make(chan int)}}), "memo: f: argument Filter.Held: (chan int) cannot be part of a key"},
		{"a func field of what it holds", refusedCall(t, nest{struct{ Hook func() }{}}), "memo: f: argument Held.Hook: (func()) cannot be part of a key"},
		{"an element", refusedCall(t, []any{1, func() {}}), "memo: f: argument [1]: (func()) cannot be part of a key"},
		{"a map's value", refusedCall(t, map[string]nest{"k": {func() {}}}), "memo: f: argument [k].Held: (func()) cannot be part of a key"},
		{"a MarshalText that fails", refusedCall(t, struct{ At textless }{}), "memo: f: argument At: MarshalText failed: no text today"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, tt.err.Error()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAKeyErrorLeadsToItsCause(t *testing.T) {
	err := refusedCall(t, struct{ In []textless }{make([]textless, 1)})
	if err.Func != "f" || err.Path != "In[0]" || !errors.Is(err, errText) {
		t.Errorf("got %+v", err)
	}
}

func TestAnEndlessArgumentIsAnErrorOfTheCall(t *testing.T) {
	ring := new(chain)
	ring.Next = ring
	slice := make([]any, 1)
	slice[0] = slice
	table := map[string]any{}
	table["self"] = table
	var pointer any
	pointer = &pointer
	for name, err := range map[string]*KeyError{
		"a cycle of pointers":        refusedCall(t, ring),
		"a slice in itself":          refusedCall(t, slice),
		"a map in itself":            refusedCall(t, table),
		"an interface's own address": refusedCall(t, pointer),
		"101 pointers":               refusedCall(t, chainOf(101)),
		"101 interfaces":             refusedCall(t, nestOf(101)),
	} {
		if !errors.Is(err, keys.ErrDepth) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAHundredPointersHaveAKey(t *testing.T) {
	if keyFor(t, chainOf(100)) == keyFor(t, chainOf(99)) {
		t.Error("99 and 100 pointers share a key")
	}
}

// The error said which entry of the map it was by printing its key, and fmt, which
// follows a pointer there, never came to an end: the process died of it.
func TestACycleInTheKeyOfAMapIsAnErrorOfTheCall(t *testing.T) {
	type knot struct{ Parts map[string]any }
	parts := map[string]any{}
	parts["self"] = parts
	f := New(func(context.Context, map[*knot]int) (int, error) { return 0, nil })
	_, err := f.Call(t.Context(), map[*knot]int{{parts}: 1})
	if want := new(*KeyError); !errors.As(err, want) || !strings.Contains(err.Error(), "[*memo.knot]") {
		t.Errorf("got %v, want a KeyError that leads to the key", err)
	}
}

func TestAnArgumentThatUnfoldsWithoutEndIsAnErrorSoon(t *testing.T) {
	shared, table := new(twins), map[int]any{}
	for range 90 {
		shared = &twins{shared, shared}
		table = map[int]any{0: table, 1: table}
	}
	wantTooLarge(t, shared)
	if !raceEnabled { // it takes a minute then
		wantTooLarge(t, table)
	}
}

func wantTooLarge[A any](t *testing.T, a A) {
	t.Helper()
	f := New(func(context.Context, A) (int, error) { t.Error("fn ran"); return 0, nil })
	began := time.Now()
	if _, err := f.Call(t.Context(), a); !errors.Is(err, keys.ErrSize) {
		t.Errorf("%T: %v, want %v", a, err, keys.ErrSize)
	}
	if took := time.Since(began); took > time.Minute {
		t.Errorf("%T: took %v", a, took)
	}
}

func TestAKeyErrorCountsArguments(t *testing.T) {
	ring := &looped{}
	ring.first = ring
	unkeyed := Wrap2(func(context.Context, int, any) (int, error) { t.Error("fn ran"); return 0, nil }, Name("f"))
	endless := Wrap3(func(context.Context, int, int, *looped) (int, error) { t.Error("fn ran"); return 0, nil }, Name("g"))

	_, err := unkeyed(t.Context(), 1, nest{func() {}})
	if got, want := fmt.Sprint(err), "memo: f: argument 2.Held: (func()) cannot be part of a key"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	_, err = endless(t.Context(), 1, 2, ring)
	if got, want := fmt.Sprint(err), "memo: g: argument 3.first.first."; !strings.HasPrefix(got, want) {
		t.Errorf("got  %s\nwant %s...", got, want)
	}
}

// looped has a field that is named like the first argument of Wrap3.
type looped struct{ first *looped }

func TestAPureFunctionRunsForAnArgumentWithoutAKey(t *testing.T) {
	f := Pure(func(v any) string { return fmt.Sprintf("%T", v) })
	if got, want := f(func() {}), "func()"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
