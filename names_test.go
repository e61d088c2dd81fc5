package memo

import (
	"context"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/seed-0226adef/memo/store/memstore"
)

func named(ctx context.Context, s string) (string, error)   { return s, nil }
func another(ctx context.Context, s string) (string, error) { return s, nil }

func TestNameOnAStoreBelongsToOneFunction(t *testing.T) {
	s, elsewhere := memstore.New(nil), memstore.New(nil)
	first := New(named, Store(s), Name("n"))
	again := New(named, Store(s), Name("n")) // the same function
	New(another, Store(s), Name("m"))
	New(another, Store(elsewhere), Name("n"))
	New(another, Store(s), Name("n"), Prefix("p"))
	taken := func() (message string) {
		defer func() {
			if v := recover(); v != nil {
				message = v.(string)
			}
		}()
		New(another, Store(s), Name("n"))
		return ""
	}
	if got := taken(); !strings.Contains(got, "memo.another would read its results; give one of them another Name") {
		t.Errorf("panic %q, want one that names both functions", got)
	}
	runtime.KeepAlive(first)
	runtime.KeepAlive(again)
	for deadline := time.Now().Add(10 * time.Second); taken() != ""; runtime.GC() {
		if time.Now().After(deadline) {
			t.Fatal("10s after its functions were dropped the name is still taken")
		}
	}
}
