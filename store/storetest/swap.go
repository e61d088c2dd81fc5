package storetest

import (
	"time"

	"github.com/seed-0226adef/memo/store"
)

var swapCases = []testCase{
	{
		name:     "same token",
		contract: "Swap must write when the value under the key begins with old, whatever follows the token",
		check: func(e *env) {
			token, value := newValue("the old value, which is longer")
			nextToken, next := newValue("next")
			_, last := newValue("a last value")
			e.set("k", value, time.Hour)
			e.swap("k", token, next, time.Hour)
			e.want("k", next)
			e.swap("k", nextToken, last, 0)
			e.want("k", last)
		},
	},
	{
		name:     "bare token",
		contract: "Swap must write also when the value there is the token and nothing else",
		check: func(e *env) {
			token, value := newValue("")
			_, next := newValue("next")
			e.add("k", value, time.Hour)
			e.swap("k", token, next, time.Hour)
			e.want("k", next)
		},
	},
	{
		name:     "binary token",
		contract: "tokens must be compared byte by byte, zeros and line ends included",
		check: func(e *env) {
			for _, token := range []store.Token{
				{},
				{0: 1},
				{15: 1},
				{0: '\r', 1: '\n', 7: 0xff, 15: '\n'},
				store.Token([]byte("\x80\xc3\x28%_*?[]^$.'\"\\\x00")),
			} {
				_, next := newValue("next")
				e.set("k", append(token[:], "old"...), 0)
				e.swap("k", token, next, 0)
				e.want("k", next)
			}
		},
	},
	{
		name:     "other token",
		contract: "Swap must return ErrConflict when the value under the key begins with another token, and leave it as it was",
		check: func(e *env) {
			token, value := newValue("old")
			_, next := newValue("next")
			e.set("k", value, 0)
			others := []store.Token{store.NewToken(), {}}
			for i := range token {
				other := token
				other[i] ^= 0x20
				others = append(others, other)
			}
			for _, other := range others {
				e.wantErr("Swap with another token", e.s.Swap(e.ctx, "k", other, next, 0), store.ErrConflict)
			}
			e.want("k", value)
		},
	},
	{
		name:     "replaced value",
		contract: "Swap must return ErrConflict when the value that the caller saw has been replaced",
		check: func(e *env) {
			token, value := newValue("old")
			_, set := newValue("set meanwhile")
			_, next := newValue("next")
			e.set("k", value, 0)
			e.set("k", set, 0)
			e.wantErr("Swap with the token from before", e.s.Swap(e.ctx, "k", token, next, 0), store.ErrConflict)
			e.want("k", set)
		},
	},
	{
		name:     "absent key",
		contract: "Swap must return ErrConflict when nothing is under the key, and write nothing",
		check: func(e *env) {
			_, next := newValue("next")
			e.wantErr("Swap of an absent key", e.s.Swap(e.ctx, "k", store.NewToken(), next, 0), store.ErrConflict)
			e.wantErr("Swap of an absent key with the zero token", e.s.Swap(e.ctx, "k", store.Token{}, next, 0), store.ErrConflict)
			e.wantAbsent("k")
		},
	},
	{
		name:     "deleted key",
		contract: "Swap must return ErrConflict once Delete has returned, and write nothing",
		check: func(e *env) {
			token, value := newValue("")
			_, next := newValue("next")
			e.set("k", value, 0)
			e.delete("k")
			e.wantErr("Swap of a deleted key", e.s.Swap(e.ctx, "k", token, next, 0), store.ErrConflict)
			e.wantAbsent("k")
		},
	},
	{
		name:     "short value",
		contract: "Swap must return ErrConflict when the value under the key is shorter than a token",
		check: func(e *env) {
			_, next := newValue("next")
			for _, n := range []int{0, 1, store.TokenSize - 1} {
				short := make([]byte, n)
				if err := e.s.Set(e.ctx, "k", short, 0); err != nil {
					continue // a store may refuse such values
				}
				e.wantErr("Swap of a value that is a token's beginning", e.s.Swap(e.ctx, "k", store.Token{}, next, 0), store.ErrConflict)
				e.want("k", short)
			}
		},
	},
	{
		name:     "keeps expiry",
		contract: "a Swap that returns ErrConflict must not touch the expiry of the value there",
		check: func(e *env) {
			_, value := newValue("")
			e.set("k", value, 0)
			e.wantErr("Swap with another token", e.s.Swap(e.ctx, "k", store.NewToken(), value, e.short()), store.ErrConflict)
			e.outlast(e.short())
			e.want("k", value)
		},
	},
}
