package storetest

import (
	"bytes"
	"errors"

	"github.com/seed-0226adef/memo/store"
)

var valueCases = []testCase{
	{
		name:     "absent key",
		contract: "Get must return ErrNotFound when nothing is under the key",
		check:    func(e *env) { e.wantAbsent("absent") },
	},
	{
		name:     "get after set",
		contract: "Get must return the value that Set wrote, as soon as Set has returned",
		check: func(e *env) {
			_, value := newValue("hello")
			e.set("k", value, 0)
			e.want("k", value)
		},
	},
	{
		name:     "set replaces",
		contract: "Set must replace whatever is under the key",
		check: func(e *env) {
			_, first := newValue("the first, which is longer")
			_, second := newValue("the second")
			e.set("k", first, 0)
			e.set("k", second, 0)
			e.want("k", second)
		},
	},
	{
		name:     "any bytes",
		contract: "any bytes must come back as they were",
		check: func(e *env) {
			all := make([]byte, 256)
			for i := range all {
				all[i] = byte(i)
			}
			for _, value := range [][]byte{
				all,
				make([]byte, store.TokenSize),
				bytes.Repeat([]byte{0xff}, 300),
				[]byte("VALUE k 0 5\r\nEND\r\n$-1\r\n"),
				[]byte("  spaces, then a line feed\n"),
				[]byte("0000000000000000000000012345"),
			} {
				e.set("k", value, 0)
				e.want("k", value)
			}
		},
	},
	{
		name:     "short values",
		contract: "values shorter than a token must be kept whole or refused with an error wrapping ErrRefused",
		check: func(e *env) {
			for n := range store.TokenSize {
				e.keptOrRefused("k", pattern(n))
			}
		},
	},
	{
		name:     "longest value",
		contract: "values must be accepted up to the limit that the store documents, under the longest key",
		check: func(e *env) {
			key, value := string(pattern(store.MaxKeyLen)), pattern(e.maxValue)
			e.set(key, value, 0)
			e.want(key, value)
		},
	},
	{
		name:     "beyond the longest value",
		contract: "values above the store's limit must be kept whole or refused with an error wrapping ErrRefused, and the store must work on",
		check: func(e *env) {
			_, small := newValue("small")
			for _, n := range []int{e.maxValue + 1, 2*e.maxValue + 1} {
				e.set("other", small, 0)
				e.keptOrRefused("k", pattern(n))
				e.want("other", small)
				e.set("k", small, 0)
				e.want("k", small)
			}
		},
	},
}

// keptOrRefused writes value under key and checks that it is then there, or that
// Set returned ErrRefused and it is not.
func (e *env) keptOrRefused(key string, value []byte) {
	e.t.Helper()
	e.delete(key)
	err := e.s.Set(e.ctx, key, value, 0)
	if err == nil {
		e.want(key, value)
		return
	}
	e.wantErr("Set of "+brief(value), err, store.ErrRefused)
	if got, err := e.s.Get(e.ctx, key); !errors.Is(err, store.ErrNotFound) {
		e.errorf("after a Set that was refused, Get(%s) = %s, %v, want ErrNotFound", brief(key), brief(got), err)
	}
}
