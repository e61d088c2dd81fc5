package storetest

import (
	"slices"
	"strings"

	"github.com/seed-0226adef/memo/store"
)

var keyCases = []testCase{
	{
		name:     "printable",
		contract: "every printable ASCII character but the space must be accepted anywhere in a key",
		check: func(e *env) {
			var all strings.Builder
			for c := byte(0x21); c <= 0x7e; c++ {
				all.WriteByte(c)
				_, value := newValue(string(c))
				e.set(string(c), value, 0)
				e.want(string(c), value)
			}
			_, value := newValue("all")
			e.set(all.String(), value, 0)
			e.want(all.String(), value)
		},
	},
	{
		name:     "longest",
		contract: "keys of up to MaxKeyLen bytes must be accepted by every method",
		check: func(e *env) {
			key := string(pattern(store.MaxKeyLen))
			token, value := newValue("first")
			_, next := newValue("next")
			e.add(key, value, 0)
			e.swap(key, token, next, 0)
			e.want(key, next)
			e.set(key, value, 0)
			e.delete(key)
			e.wantAbsent(key)
		},
	},
	{
		name:     "apart",
		contract: "different keys must never meet",
		check: func(e *env) {
			long := strings.Repeat("x", store.MaxKeyLen-1)
			keys := []string{
				"a", "A", "aa", "a/", "/a", "a/.", "a//", "a:b", "a%3Ab", "{a}", "{a}b", "*", "a*", "a?", "[a]",
				long, long + "1", long + "2", long[:store.TokenSize],
			}
			values := map[string][]byte{}
			for _, key := range keys {
				_, values[key] = newValue(key)
				e.add(key, values[key], 0)
			}
			for _, key := range keys {
				e.want(key, values[key])
			}
			for i, key := range keys {
				e.delete(key)
				for _, other := range keys[i+1:] {
					e.want(other, values[other])
				}
			}
		},
	},
	{
		name:     "unusual",
		contract: "keys that are empty, long, or more than printable ASCII must be kept apart from all others, or refused with an error wrapping ErrRefused; the store must work on",
		check: func(e *env) {
			long := strings.Repeat("x", store.MaxKeyLen)
			_, kept := newValue("kept")
			usual := []string{"k", "a", "x", long}
			for _, key := range usual {
				e.set(key, kept, 0)
			}
			for _, key := range []string{
				"", long + "y", strings.Repeat("x", 4096), "a b", " a", "a ", "a\x00", "a\r\nget k\r\n", "a\tb", "caf\u00e9", "\x7f", "\xff\xfe",
			} {
				token, value := newValue("unusual")
				_, next := newValue("next")
				if err := e.s.Set(e.ctx, key, value, 0); err == nil {
					e.want(key, value)
					e.swap(key, token, next, 0)
					e.delete(key)
					e.wantAbsent(key)
				} else {
					e.wantErr("Set of "+brief(key), err, store.ErrRefused)
					_, err = e.s.Get(e.ctx, key)
					e.wantErr("Get of "+brief(key)+", which Set refused,", err, store.ErrRefused)
					e.wantErr("Add of "+brief(key)+", which Set refused,", e.s.Add(e.ctx, key, value, 0), store.ErrRefused)
					e.wantErr("Swap of "+brief(key)+", which Set refused,", e.s.Swap(e.ctx, key, token, next, 0), store.ErrRefused)
					e.wantErr("Delete of "+brief(key)+", which Set refused,", e.s.Delete(e.ctx, key), store.ErrRefused)
				}
				for _, usual := range slices.Backward(usual) {
					e.want(usual, kept)
				}
			}
		},
	},
}
