package memo

import (
	"fmt"
	"reflect"
	"runtime"
	"sync"
)

// A storeName is a name on a store, which one function may have.
type storeName struct {
	store        any // the store.Store, compared by identity
	prefix, name string
}

// registered says who has which name.
var registered = struct {
	sync.Mutex
	by map[storeName]*registration // guarded by the mutex
}{by: map[storeName]*registration{}}

// A registration is a function that has a name. Several cores can be the same
// function, as when New runs in a function of the user's.
type registration struct {
	fn          string
	arg, result reflect.Type
	cores       int
}

// register claims the function's name on its store until the core is dropped. It
// panics when another function has it.
func (c *core) register(s *settings) {
	if c.named || s.store == nil || !reflect.ValueOf(s.store).Comparable() {
		return
	}
	at := storeName{s.store, s.prefix, s.name}
	registered.Lock()
	defer registered.Unlock()
	r := registered.by[at]
	if r == nil {
		r = &registration{fn: c.types.fn, arg: c.types.arg, result: c.types.result}
		registered.by[at] = r
	}
	if r.fn != c.types.fn || r.arg != c.types.arg || r.result != c.types.result {
		panic(fmt.Sprintf("memo: the name %q is taken on this store by %s, and %s would read its results; give one of them another Name",
			s.name, r.fn, c.types.fn))
	}
	r.cores++
	c.named = true
	runtime.AddCleanup(c, unregister, at)
}

func unregister(at storeName) {
	registered.Lock()
	defer registered.Unlock()
	r := registered.by[at]
	if r.cores--; r.cores == 0 {
		delete(registered.by, at)
	}
}

// funcName returns the runtime's name of fn.
func funcName(fn any) string {
	return runtime.FuncForPC(reflect.ValueOf(fn).Pointer()).Name()
}
