package storetest

import (
	"time"

	"github.com/seed-0226adef/memo/store"
)

var addCases = []testCase{
	{
		name:     "absent key",
		contract: "Add must write when nothing is under the key",
		check: func(e *env) {
			_, value := newValue("")
			e.add("k", value, time.Hour)
			e.want("k", value)
		},
	},
	{
		name:     "present key",
		contract: "Add must return ErrExists when a value is under the key, and leave it as it was",
		check: func(e *env) {
			_, value := newValue("first")
			_, next := newValue("second")
			e.set("forever", value, 0)
			e.set("hour", value, time.Hour)
			for _, key := range []string{"forever", "hour"} {
				e.wantErr("Add to a key that has a value", e.s.Add(e.ctx, key, next, time.Hour), store.ErrExists)
				e.wantErr("Add of the very value that is there", e.s.Add(e.ctx, key, value, time.Hour), store.ErrExists)
				e.want(key, value)
			}
		},
	},
	{
		name:     "keeps expiry",
		contract: "an Add that returns ErrExists must not touch the expiry of the value there",
		check: func(e *env) {
			_, value := newValue("")
			e.set("k", value, 0)
			e.wantErr("Add to a key that has a value", e.s.Add(e.ctx, "k", value, e.short()), store.ErrExists)
			e.outlast(e.short())
			e.want("k", value)
		},
	},
	{
		name:     "after delete",
		contract: "Add must write again as soon as Delete has returned",
		check: func(e *env) {
			_, value := newValue("first")
			_, next := newValue("second")
			e.add("k", value, time.Hour)
			e.delete("k")
			e.add("k", next, time.Hour)
			e.want("k", next)
		},
	},
}
