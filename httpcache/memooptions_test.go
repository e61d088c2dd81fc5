package httpcache_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/seed-0226adef/memo"
	"github.com/seed-0226adef/memo/codec"
	"github.com/seed-0226adef/memo/httpcache"
	"github.com/seed-0226adef/memo/store/memstore"
)

// panicOfNew returns what New panics with, or "".
func panicOfNew(o *httpcache.Options, opts ...memo.Option) (message string) {
	defer func() {
		if v := recover(); v != nil {
			message = fmt.Sprint(v)
		}
	}()
	httpcache.New(o, opts...)
	return ""
}

func TestMemoOptionsWithoutEffectAreRefusedByName(t *testing.T) {
	for name, given := range map[string][]memo.Option{
		"TTL": {memo.TTL(time.Hour), memo.TTL(0)}, "Jitter": {memo.Jitter(0.1), memo.Jitter(0)},
		"StaleWhileRevalidate": {memo.StaleWhileRevalidate(time.Hour), memo.StaleWhileRevalidate(0)},
		"StaleIfError":         {memo.StaleIfError(time.Hour), memo.StaleIfError(0)},
		"EarlyRefresh":         {memo.EarlyRefresh(1), memo.EarlyRefresh(0)}, "SoftTimeout": {memo.SoftTimeout(time.Second), memo.SoftTimeout(0)},
		"CacheErrors": {memo.CacheErrors(time.Second, nil), memo.CacheErrors(0, nil)},
		"CacheIf":     {memo.CacheIf(func(string, error) bool { return true }), memo.CacheIf[string](nil)},
		"Clone":       {memo.Clone(func(s string) string { return s }), memo.Clone[string](nil)},
		"KeyFunc":     {memo.KeyFunc(func(s string) string { return s }), memo.KeyFunc[string](nil)},
		"Tags":        {memo.Tags("a"), memo.Tags()}, "InheritTTL": {memo.InheritTTL(true), memo.InheritTTL(false)},
		"MaxBatch": {memo.MaxBatch(1)}, "CacheMissing": {memo.CacheMissing(time.Second), memo.CacheMissing(0)},
	} {
		for _, o := range given {
			for _, opts := range [][]memo.Option{{o}, {memo.LocalBytes(1 << 20), memo.Options{memo.Options{o}}}} {
				got := panicOfNew(nil, opts...)
				if want := "memo: httpcache: New was given memo." + name + ", which has no effect on responses; "; !strings.HasPrefix(got, want) {
					t.Errorf("New with %s: got the panic %q, want %q", name, got, want)
				}
			}
		}
	}
}

func TestSharedNameIsRefusedWithoutAName(t *testing.T) {
	if got, want := panicOfNew(nil, memo.SharedName()), "memo: httpcache: New was given memo.SharedName, which has no effect without memo.Name; give the name that is shared"; got != want {
		t.Errorf("got the panic %q, want %q", got, want)
	}
}

// Where a program runs there may be a store, or none.
func TestMemoOptionsOfAStoreAreTakenWithoutOne(t *testing.T) {
	for _, s := range []memo.Options{nil, {memo.Store(nil)}} {
		if got := panicOfNew(nil, s, memo.Name("pages"), memo.SharedName(), memo.StoreTimeout(time.Second), memo.LocalTTL(0),
			memo.Codec(codec.JSON), memo.Prefix("p"), memo.Version("1")); got != "" {
			t.Errorf("got the panic %q", got)
		}
	}
}

func TestMemoOptionsWithEffectAreTaken(t *testing.T) {
	if got := panicOfNew(nil, memo.Store(memstore.New(nil)), memo.Name("pages"), memo.SharedName(), memo.Prefix("shop"), memo.Version("1"),
		memo.LocalTTL(time.Second), memo.StoreTimeout(time.Second), memo.LoadTimeout(time.Minute), memo.ContextFrom(nil), memo.Disabled(false),
		memo.Observe(nil), memo.Logger(nil), memo.Local(10), memo.LocalBytes(1<<20), memo.NoLocal(), memo.NewGroup("taken")); got != "" {
		t.Errorf("got the panic %q", got)
	}
}

func TestOptionsWithoutEffectAreRefused(t *testing.T) {
	for _, c := range []struct {
		o    httpcache.Options
		want string // "" for an option that has an effect
	}{
		{httpcache.Options{MaxRequestBody: 1}, "Options.MaxRequestBody has no effect without Options.Methods, since no request's body is read; name the methods, or leave it out"},
		{httpcache.Options{MaxRequestBody: -1}, "Options.MaxRequestBody has no effect without Options.Methods"},
		{httpcache.Options{MaxRequestBody: 1, Methods: []string{"POST"}}, ""},
		{httpcache.Options{Methods: []string{"POST", "GET"}}, `Options.Methods holds "GET", whose responses are stored in any case; leave it out`},
		{httpcache.Options{Methods: []string{"HEAD"}}, `Options.Methods holds "HEAD"`},
		{httpcache.Options{Methods: []string{"CONNECT"}}, `Options.Methods holds "CONNECT", whose responses cannot be stored`},
		{httpcache.Options{SortQuery: true, IgnoreParams: []string{"a", "*"}}, `Options.SortQuery has no effect where IgnoreParams holds "*", since no parameter is left; leave one of the two out`},
		{httpcache.Options{SortQuery: true, IgnoreParams: []string{"a*"}}, ""},
		{httpcache.Options{Ranges: true, MaxBody: -1, MaxInFlight: -1}, ""}, // numbers may come from where the program runs
		{httpcache.Options{KeyHeaders: []string{"X-Tenant", " host"}}, `Options.KeyHeaders holds "Host", which is part of the key in any case; leave it out`},
		{httpcache.Options{KeyHeaders: []string{"X Tenant"}}, `Options.KeyHeaders holds "X Tenant", which is the name of no field; a name has`},
		{httpcache.Options{KeyHeaders: []string{" x-tenant "}}, ""},
		{httpcache.Options{KeyCookies: []string{""}}, `Options.KeyCookies holds "", which is the name of no cookie; a name has`},
		{httpcache.Options{Targets: []string{"CDN-Cache-Control:"}}, `Options.Targets holds "CDN-Cache-Control:", which is the name of no field`},
		{httpcache.Options{Targets: []string{}}, ""},
		{httpcache.Options{CredentialHeaders: []string{"X-Key", "cookie"}}, `Options.CredentialHeaders holds "Cookie", which tells who sends a request in any case; leave it out`},
		{httpcache.Options{CredentialHeaders: []string{"Authorization"}}, `Options.CredentialHeaders holds "Authorization"`},
		{httpcache.Options{CredentialHeaders: []string{"X/Key"}}, `Options.CredentialHeaders holds "X/Key", which is the name of no field`},
		{httpcache.Options{CredentialHeaders: []string{}}, ""},
	} {
		got := panicOfNew(&c.o)
		if c.want == "" && got != "" || c.want != "" && !strings.HasPrefix(got, "memo: httpcache: "+c.want) {
			t.Errorf("%+v:\ngot the panic %q\nwant %q", c.o, got, c.want)
		}
	}
}

// What a group or the defaults say is for the functions there.
func TestMemoOptionsOfAGroupAreForItsFunctions(t *testing.T) {
	memo.SetDefault(memo.TTL(time.Hour), memo.Tags("a"))
	defer memo.SetDefault()
	httpcache.New(nil, memo.NewGroup("site", memo.TTL(time.Hour), memo.Jitter(0.1)))
}
