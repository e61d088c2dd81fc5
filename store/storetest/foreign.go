package storetest

import (
	"bytes"
	"errors"
	"testing"

	"github.com/seed-0226adef/memo/store"
)

// ForeignValue declares how to put something under a key of s that s cannot read, without
// using s: in Redis a list. Run then checks that no other key is affected. put is called in
// the goroutine of the case, and fails t if it cannot. The default, nil, is a server that
// has values of one kind only; those cases are skipped.
func ForeignValue(put func(t testing.TB, s store.Store, key string)) Capability {
	return func(l *limits) { l.foreign = put }
}

var foreignCases = []testCase{
	{
		name:     "one key",
		contract: "a value under the key that the store did not write must concern that key only: each method must do its work, return an answer, or an error wrapping ErrRefused",
		check: func(e *env) {
			token, value := newValue("")
			for method, call := range map[string]func(key string) error{
				"Get":    func(key string) error { _, err := e.s.Get(e.ctx, key); return err },
				"Set":    func(key string) error { return e.s.Set(e.ctx, key, value, 0) },
				"Add":    func(key string) error { return e.s.Add(e.ctx, key, value, 0) },
				"Swap":   func(key string) error { return e.s.Swap(e.ctx, key, token, value, 0) },
				"Delete": func(key string) error { return e.s.Delete(e.ctx, key) },
			} {
				key := "foreign:" + method
				e.putForeign(key)
				err := call(key)
				switch {
				case errors.Is(err, store.ErrRefused):
				case err == nil && method == "Set":
					e.want(key, value)
				case err == nil && method == "Delete":
					e.wantAbsent(key)
				case err == nil:
					e.errorf("%s of a key with a foreign value = nil, want an error", method)
				case method == "Get":
					e.wantErr(method+" of a key with a foreign value", err, store.ErrNotFound)
				case method == "Add":
					e.wantErr(method+" of a key with a foreign value", err, store.ErrExists)
				default:
					e.wantErr(method+" of a key with a foreign value", err, store.ErrConflict)
				}
			}
		},
	},
	{
		name:     "among many",
		contract: "a key that cannot be read must not cost a GetMulti the others; an error, if any, must be a *KeysError that names that key and no other",
		check: func(e *env) {
			_, value := newValue("")
			e.set("a", value, 0)
			e.set("z", value, 0)
			e.putForeign("foreign")
			got, err := store.GetMulti(e.ctx, e.s, []string{"a", "foreign", "absent", "z"})
			if !bytes.Equal(got["a"], value) || !bytes.Equal(got["z"], value) || len(got) != 2 {
				e.errorf("GetMulti returned %d values, want those of a and z", len(got))
			}
			var refused *store.KeysError
			if err != nil && (!errors.As(err, &refused) || len(refused.Errs) != 1 || !errors.Is(refused.Errs["foreign"], store.ErrRefused)) {
				e.errorf("GetMulti = %v, want nil or a *KeysError with an error that wraps ErrRefused for the foreign key alone", err)
			}
		},
	},
}

func (e *env) putForeign(key string) {
	e.t.Helper()
	if e.foreign == nil {
		e.t.Skip("no foreign values are declared")
	}
	e.foreign(e.t, e.s, key)
}
