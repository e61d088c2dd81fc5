package fleettest

import (
	"context"
	"testing"
	"time"

	"github.com/seed-0226adef/memo"
	"github.com/seed-0226adef/memo/internal/testserver"
)

// The releases of one program that run side by side. All have the same functions.
const (
	older          = "older"
	newer          = "newer"          // whose results have another field
	otherArguments = "otherArguments" // whose arguments have another field, too
)

type (
	olderResult struct{ Value string }
	newerResult struct {
		Value string
		More  []string
	}
	olderArgument struct{ Tenant, ID string }
	newerArgument struct{ Tenant, ID, Lang string }
)

// versionFuncs are what a release's function of one argument, "key" of the tenant "t", can.
type versionFuncs struct {
	call            func(ctx context.Context, key string) (string, error)
	set             func(ctx context.Context, key, value string) error
	invalidate      func(ctx context.Context, key string) error
	batchCall       func(ctx context.Context, key string) (string, error)
	batchInvalidate func(ctx context.Context, key string) error
}

// releaseProgram is a process of one release, with a kind of server, its address, the path
// of the source and the release as arguments. Its commands are those of program.
var releaseProgram = testserver.NewProgram("release", func(args []string) testserver.Commands {
	s, err := open(args[0], args[1])
	if err != nil {
		panic(err)
	}
	m := &member{source: args[2], group: memo.NewGroup("g", memo.Store(s), memo.StoreTimeout(patience), memo.TTL(time.Hour))}
	var f versionFuncs
	switch args[3] {
	case older:
		f = funcsOf(m, func(key string) olderArgument { return olderArgument{"t", key} },
			func(v string) olderResult { return olderResult{v} }, func(r olderResult) string { return r.Value })
	case newer:
		f = funcsOf(m, func(key string) olderArgument { return olderArgument{"t", key} },
			func(v string) newerResult { return newerResult{v, nil} }, func(r newerResult) string { return r.Value })
	case otherArguments:
		f = funcsOf(m, func(key string) newerArgument { return newerArgument{"t", key, "de"} },
			func(v string) newerResult { return newerResult{v, nil} }, func(r newerResult) string { return r.Value })
	}
	ctx := context.Background()
	return testserver.Commands{
		"call":             func(args ...string) (string, error) { return f.call(ctx, args[0]) },
		"set":              func(args ...string) (string, error) { return "", f.set(ctx, args[0], args[1]) },
		"invalidate":       func(args ...string) (string, error) { return "", f.invalidate(ctx, args[0]) },
		"batch call":       func(args ...string) (string, error) { return f.batchCall(ctx, args[0]) },
		"batch invalidate": func(args ...string) (string, error) { return "", f.batchInvalidate(ctx, args[0]) },
		"hold":             func(...string) (string, error) { m.gate.shut(); return "", nil },
		"begun":            func(...string) (string, error) { return "", m.gate.reached() },
		"go on":            func(...string) (string, error) { m.gate.open(); return "", nil },
	}
})

func funcsOf[A comparable, R any](m *member, arg func(string) A, result func(string) R, value func(R) string) versionFuncs {
	one := memo.New(func(ctx context.Context, _ A) (R, error) {
		v, err := m.read(ctx, "")
		return result(v), err
	}, m.group, memo.Name("one"), memo.LocalTTL(0))
	many := memo.NewBatch(func(ctx context.Context, args []A) (map[A]R, error) {
		v, err := m.read(ctx, "")
		all := map[A]R{}
		for _, a := range args {
			all[a] = result(v)
		}
		return all, err
	}, m.group, memo.Name("many"), memo.LocalTTL(0))
	return versionFuncs{
		call: func(ctx context.Context, key string) (string, error) {
			r, err := one.Call(ctx, arg(key))
			return value(r), err
		},
		set:        func(ctx context.Context, key, v string) error { return one.Set(ctx, arg(key), result(v)) },
		invalidate: func(ctx context.Context, key string) error { return one.Invalidate(ctx, arg(key)) },
		batchCall: func(ctx context.Context, key string) (string, error) {
			all, err := many.Call(ctx, []A{arg(key), arg(key + "2")})
			return value(all[arg(key)]), err
		},
		batchInvalidate: func(ctx context.Context, key string) error {
			return many.Invalidate(ctx, arg(key+"2"), arg(key))
		},
	}
}

// releases starts a process of each of two releases.
func releases(t *testing.T, kind, addr string, which [2]string) *fleet {
	t.Helper()
	f := &fleet{t: t, source: t.TempDir() + "/source"}
	f.change("old")
	for _, release := range which {
		f.Processes = append(f.Processes, releaseProgram.Start(t, 1, kind, addr, f.source, release)...)
	}
	return f
}

// Invalidate in one release returned nil, and processes of another one returned the old
// result until its TTL ended.
func TestInvalidationByKeyReachesEveryRelease(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		releases [2]string // the first acts
		seen     time.Duration
	}{
		"the newer one acts":           {[2]string{newer, older}, 0},
		"the older one acts":           {[2]string{older, newer}, 0},
		"other arguments":              {[2]string{otherArguments, older}, time.Second},
		"other arguments in the other": {[2]string{older, otherArguments}, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			onEveryServer(t, func(t *testing.T, kind, addr string) {
				f := releases(t, kind, addr, test.releases)
				for act, words := range map[string][2][]string{
					"Invalidate":            {{"call", "k"}, {"invalidate", "k"}},
					"Set":                   {{"call", "s"}, {"set", "s", "new"}},
					"Invalidate of a batch": {{"batch call", "k"}, {"batch invalidate", "k"}},
				} {
					call, command := words[0], words[1]
					f.change("old")
					f.must(0, call...)
					f.must(1, call...)
					f.change("new")
					f.must(0, command...)
					seen := time.Now().Add(test.seen)
					time.Sleep(time.Until(seen))
					for process := range f.Processes {
						if got := f.must(process, call...); got != "new" {
							t.Errorf("%s: process %d got %s, want new", act, process, got)
						}
					}
				}
			})
		})
	}
}

func TestInvalidationByKeyOvertakesExecutionsOfEveryRelease(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		releases [2]string // the second executes
		seen     time.Duration
	}{
		"the older one executes":        {[2]string{newer, older}, 0},
		"the newer one executes":        {[2]string{older, newer}, 0},
		"one with other arguments does": {[2]string{older, otherArguments}, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			onEveryServer(t, func(t *testing.T, kind, addr string) {
				f := releases(t, kind, addr, test.releases)
				f.must(1, "hold")
				executing := f.begin(1, "call", "k")
				f.must(1, "begun")
				f.change("new")
				f.must(0, "invalidate", "k")
				seen := time.Now().Add(test.seen)
				f.must(1, "go on")
				if got := executing(); got != "old" {
					t.Errorf("the caller of the execution got %s, want its result, old", got)
				}
				time.Sleep(time.Until(seen))
				for process := range f.Processes {
					if got := f.must(process, "call", "k"); got != "new" {
						t.Errorf("process %d got %s, want new", process, got)
					}
				}
			})
		})
	}
}
