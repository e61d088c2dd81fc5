package httpcache_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/seed-0226adef/memo"
	"github.com/seed-0226adef/memo/httpcache"
)

func TestMemoOptionsWithoutEffectAreRefusedByName(t *testing.T) {
	for name, o := range map[string]memo.Option{
		"TTL": memo.TTL(time.Hour), "Jitter": memo.Jitter(0.1), "StaleWhileRevalidate": memo.StaleWhileRevalidate(time.Hour),
		"StaleIfError": memo.StaleIfError(time.Hour), "EarlyRefresh": memo.EarlyRefresh(1), "SoftTimeout": memo.SoftTimeout(time.Second),
		"CacheErrors": memo.CacheErrors(time.Second, nil), "CacheIf": memo.CacheIf(func(string, error) bool { return true }),
		"Clone": memo.Clone(func(s string) string { return s }), "KeyFunc": memo.KeyFunc(func(s string) string { return s }),
		"Tags": memo.Tags("a"), "InheritTTL": memo.InheritTTL(true),
	} {
		for _, opts := range [][]memo.Option{{o}, {memo.LocalBytes(1 << 20), memo.Options{memo.Options{o}}}} {
			func() {
				defer func() {
					if v := fmt.Sprint(recover()); !strings.Contains(v, "memo."+name+",") {
						t.Errorf("New with %s: got the panic %q", name, v)
					}
				}()
				httpcache.New(nil, opts...)
			}()
		}
	}
}

// What a group or the defaults say is for the functions there.
func TestMemoOptionsOfAGroupAreForItsFunctions(t *testing.T) {
	memo.SetDefault(memo.TTL(time.Hour), memo.Tags("a"))
	defer memo.SetDefault()
	httpcache.New(nil, memo.NewGroup("site", memo.TTL(time.Hour), memo.Jitter(0.1)))
}
