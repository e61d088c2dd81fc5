package memo

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"
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

func TestARefusalSaysWhichArgument(t *testing.T) {
	name := Name("users.search")
	for _, tt := range []struct{ got, want string }{
		{panicOf(func() {
			Wrap2(func(context.Context, int, filter) (int, error) { return 0, nil }, name)
		}), `memo: users.search: argument 2 field Hook (func()) cannot be part of a key; tag it memo:"-" or give KeyFunc`},
		{panicOf(func() {
			Wrap2(func(context.Context, []func(), int) (int, error) { return 0, nil }, name)
		}), `memo: users.search: argument 1 field [] (func()) cannot be part of a key; tag it memo:"-" or give KeyFunc`},
		{panicOf(func() {
			Wrap3(func(context.Context, int, int, chan int) (int, error) { return 0, nil }, name)
		}), `memo: users.search: argument 3 (chan int) cannot be part of a key; tag it memo:"-" or give KeyFunc`},
		{panicOf(func() {
			Pure(func(filter) int { return 0 }, name)
		}), `memo: users.search: argument field Hook (func()) cannot be part of a key; tag it memo:"-" or give KeyFunc`},
	} {
		if diff := cmp.Diff(tt.want, tt.got); diff != "" {
			t.Error(diff)
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
