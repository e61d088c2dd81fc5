package httpcache

import (
	"net/http"
	"slices"
	"time"

	"github.com/seed-0226adef/memo"
	"github.com/seed-0226adef/memo/httpcache/internal/rules"
)

// New panics for what makes no sense, and for what can have no effect: somebody has meant
// something by it, and should not find out in production that it is not so. It does so for
// what is wrong in the program, and not for numbers and stores that may come from where it
// runs. The sentences say what to change.

// insteadOf names those of memo's options that have no effect on responses, and what
// takes their place, if anything does.
var insteadOf = map[string]string{
	"TTL": "Options.TTL, or Cache-Control in the handler", "StaleIfError": "Options.StaleIfError",
	"StaleWhileRevalidate": "Cache-Control: stale-while-revalidate in the handler",
	"CacheIf":              "Cache-Control: no-store, or memo.NoStore, in the handler",
	"CacheErrors":          "Cache-Control: max-age in the handler that fails",
	"Tags":                 "memo.AddTags, or a Cache-Tag field, in the handler",
	"KeyFunc":              "Options.Key",
	"MaxAge":               "Cache-Control: max-age in the request",
	"Jitter":               "", "EarlyRefresh": "", "SoftTimeout": "", "Clone": "", "InheritTTL": "", "MaxBatch": "", "CacheMissing": "",
}

// checkMemoOptions panics for options that would have no effect. Those that say something of
// a store may have one, also beside memo.Store(nil): whether there is a store is for a group,
// the defaults or the place where the program runs to say.
func checkMemoOptions(opts []memo.Option) {
	given := optionsOf(opts).Given()
	for _, name := range given {
		other, hasNone := insteadOf[name]
		switch {
		case hasNone && other != "":
			refuse("New was given memo." + name + ", which has no effect on responses; use " + other)
		case hasNone:
			refuse("New was given memo." + name + ", which has no effect on responses; leave it out")
		}
	}
	if slices.Contains(given, "SharedName") && !slices.Contains(given, "Name") {
		refuse("New was given memo.SharedName, which has no effect without memo.Name; give the name that is shared")
	}
}

// check panics when the options make no sense, or one of them would have no effect.
func (o *Options) check() {
	for _, field := range []struct {
		name string
		d    time.Duration
	}{{"TTL", o.TTL}, {"ClientTTL", o.ClientTTL}, {"StaleIfError", o.StaleIfError}} {
		if field.d < 0 {
			refuse("Options." + field.name + " is negative (" + field.d.String() + "); zero turns it off")
		}
	}
	if o.Identity != "" && !rules.IsToken(o.Identity) {
		refuse("Options.Identity is \"" + o.Identity + "\", but it has to be a token: letters, digits and !#$%&'*+-.^_`|~")
	}
	o.checkMethods()
	o.checkNames()
	if o.SortQuery && slices.Contains(o.IgnoreParams, "*") {
		refuse("Options.SortQuery has no effect where IgnoreParams holds \"*\", since no parameter is left; leave one of the two out")
	}
}

func (o *Options) checkMethods() {
	for _, m := range o.Methods {
		switch {
		case !rules.IsToken(m) || m == http.MethodConnect || m == http.MethodTrace:
			refuse("Options.Methods holds \"" + m + "\", whose responses cannot be stored")
		case m == http.MethodGet || m == http.MethodHead:
			refuse("Options.Methods holds \"" + m + "\", whose responses are stored in any case; leave it out")
		}
	}
	if o.MaxRequestBody != 0 && len(o.Methods) == 0 {
		refuse("Options.MaxRequestBody has no effect without Options.Methods, since no request's body is read; name the methods, or leave it out")
	}
}

// checkNames panics for names of fields and cookies that no request and no response has,
// and for those that count in any case.
func (o *Options) checkNames() {
	key, credentials := rules.CanonicalNames(o.KeyHeaders), rules.CanonicalNames(o.CredentialHeaders)
	for _, list := range []struct {
		option, of string
		names      []string
	}{{"CredentialHeaders", "field", credentials}, {"Targets", "field", o.Targets}, {"KeyHeaders", "field", key}, {"KeyCookies", "cookie", o.KeyCookies}} {
		for _, name := range list.names {
			if !rules.IsToken(name) {
				refuse("Options." + list.option + " holds \"" + name + "\", which is the name of no " + list.of + "; a name has letters, digits and !#$%&'*+-.^_`|~")
			}
		}
	}
	if slices.Contains(key, "Host") {
		refuse("Options.KeyHeaders holds \"Host\", which is part of the key in any case; leave it out")
	}
	for _, name := range rules.PrincipalFields {
		if slices.Contains(credentials, name) {
			refuse("Options.CredentialHeaders holds \"" + name + "\", which tells who sends a request in any case; leave it out")
		}
	}
}

func refuse(why string) { panic("memo: httpcache: " + why) }
