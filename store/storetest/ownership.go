package storetest

import (
	"bytes"

	"github.com/seed-0226adef/memo/store"
)

var ownershipCases = []testCase{
	{
		name:     "written value",
		contract: "a store must not retain value after a write has returned",
		check: func(e *env) {
			for key, write := range e.writes() {
				_, value := newValue("as it was written")
				want := bytes.Clone(value)
				if err := write(value); err != nil {
					e.fatalf("%s = %v, want nil", key, err)
				}
				clear(value)
				e.want(key, want)
			}
		},
	},
	{
		name:     "value left alone",
		contract: "a store must not modify value, nor what follows it in its array",
		check: func(e *env) {
			for key, write := range e.writes() {
				_, value := newValue("as it was written")
				value = append(value, "and what follows"...)
				want := bytes.Clone(value)
				if err := write(value[:store.TokenSize+5]); err != nil {
					e.fatalf("%s = %v, want nil", key, err)
				}
				if !bytes.Equal(value, want) {
					e.errorf("%s left %s of its argument, want %s", key, brief(value), brief(want))
				}
			}
		},
	},
	{
		name:     "read value",
		contract: "the caller owns what Get returns: modifying it must change nothing in the store or in what others got",
		check: func(e *env) {
			_, value := newValue("as it was written")
			e.set("k", value, 0)
			mine, err := e.s.Get(e.ctx, "k")
			if err != nil {
				e.fatalf("Get = %v, want a value", err)
			}
			theirs, err := e.s.Get(e.ctx, "k")
			if err != nil {
				e.fatalf("Get = %v, want a value", err)
			}
			clear(mine)
			_ = append(mine, "more"...)
			if !bytes.Equal(theirs, value) {
				e.errorf("modifying what one Get returned made the other %s, want %s", brief(theirs), brief(value))
			}
			e.want("k", value)
		},
	},
}

// writes returns every method that writes, under the keys that they write to.
func (e *env) writes() map[string]func(value []byte) error {
	token, old := newValue("old")
	e.set("Swap", old, 0)
	return map[string]func([]byte) error{
		"Set":  func(value []byte) error { return e.s.Set(e.ctx, "Set", value, 0) },
		"Add":  func(value []byte) error { return e.s.Add(e.ctx, "Add", value, 0) },
		"Swap": func(value []byte) error { return e.s.Swap(e.ctx, "Swap", token, value, 0) },
	}
}
