package memo

import (
	"context"
	"reflect"
	"strings"
	"testing"

	"github.com/seed-0226adef/memo/internal/keys"
)

// The types of one shape in these tests are all called user, since a type that
// changes keeps its name.
func TestTheVersionChangesWithTheShapeOfAType(t *testing.T) {
	type Label string
	shapes := map[string]reflect.Type{
		"as it was": func() reflect.Type {
			type user struct {
				ID   int
				Name string
			}
			return reflect.TypeFor[user]()
		}(),
		"another field": func() reflect.Type {
			type user struct {
				ID   int
				Name string
				Age  int
			}
			return reflect.TypeFor[user]()
		}(),
		"a field less": func() reflect.Type {
			type user struct{ ID int }
			return reflect.TypeFor[user]()
		}(),
		"a field renamed": func() reflect.Type {
			type user struct {
				ID    int
				Title string
			}
			return reflect.TypeFor[user]()
		}(),
		"fields in another order": func() reflect.Type {
			type user struct {
				Name string
				ID   int
			}
			return reflect.TypeFor[user]()
		}(),
		"a wider field": func() reflect.Type {
			type user struct {
				ID   int64
				Name string
			}
			return reflect.TypeFor[user]()
		}(),
		"a field of a named type": func() reflect.Type {
			type user struct {
				ID   int
				Name Label
			}
			return reflect.TypeFor[user]()
		}(),
		"a pointer": func() reflect.Type {
			type user struct {
				ID   int
				Name *string
			}
			return reflect.TypeFor[user]()
		}(),
		"a slice": func() reflect.Type {
			type user struct {
				ID   int
				Name []string
			}
			return reflect.TypeFor[user]()
		}(),
		"an array of one": func() reflect.Type {
			type user struct {
				ID   int
				Name [1]string
			}
			return reflect.TypeFor[user]()
		}(),
		"an array of two": func() reflect.Type {
			type user struct {
				ID   int
				Name [2]string
			}
			return reflect.TypeFor[user]()
		}(),
		"a map": func() reflect.Type {
			type user struct {
				ID   int
				Name map[string]int
			}
			return reflect.TypeFor[user]()
		}(),
		"a map with other keys": func() reflect.Type {
			type user struct {
				ID   int
				Name map[int]int
			}
			return reflect.TypeFor[user]()
		}(),
		"a map the other way round": func() reflect.Type {
			type user struct {
				ID   int
				Name map[int]string
			}
			return reflect.TypeFor[user]()
		}(),
		"an interface": func() reflect.Type {
			type user struct {
				ID   int
				Name any
			}
			return reflect.TypeFor[user]()
		}(),
		"a tag": func() reflect.Type {
			type user struct {
				ID   int
				Name string `json:"name"`
			}
			return reflect.TypeFor[user]()
		}(),
		"a field left out of keys": func() reflect.Type {
			type user struct {
				ID   int
				Name string `memo:"-"`
			}
			return reflect.TypeFor[user]()
		}(),
		"a field embedded": func() reflect.Type {
			type user struct {
				ID int
				Label
			}
			return reflect.TypeFor[user]()
		}(),
		"a field that is not": func() reflect.Type {
			type user struct {
				ID    int
				Label Label
			}
			return reflect.TypeFor[user]()
		}(),
		"a change further down": func() reflect.Type {
			type inner struct{ S string }
			type user struct {
				ID   int
				Name []map[int]*inner
			}
			return reflect.TypeFor[user]()
		}(),
		"another change further down": func() reflect.Type {
			type inner struct{ S, T string }
			type user struct {
				ID   int
				Name []map[int]*inner
			}
			return reflect.TypeFor[user]()
		}(),
		"a type of its own name": func() reflect.Type {
			type customer struct {
				ID   int
				Name string
			}
			return reflect.TypeFor[customer]()
		}(),
		"no name": reflect.TypeFor[struct {
			ID   int
			Name string
		}](),
		"recursion":         reflect.TypeFor[chain](),
		"another recursion": reflect.TypeFor[twins](),
	}
	seen := map[string]string{}
	for name, shape := range shapes {
		version := keys.Fingerprint(shape, reflect.TypeFor[int]())
		if other, taken := seen[version]; taken {
			t.Errorf("%q and %q have the same version", name, other)
		}
		seen[version] = name
	}
}

func TestTheVersionKnowsTheArgumentFromTheResult(t *testing.T) {
	version := func(key string, err error) string {
		if err != nil {
			t.Fatal(err)
		}
		return strings.Split(key, ":")[2]
	}
	seen := map[string]bool{}
	for _, v := range []string{
		version(New(func(context.Context, int) (string, error) { return "", nil }, Name("f")).Key(1)),
		version(New(func(context.Context, string) (int, error) { return 0, nil }, Name("f")).Key("")),
		version(New(func(context.Context, int) (int, error) { return 0, nil }, Name("f")).Key(1)),
		version(New(func(context.Context, int) ([]int, error) { return nil, nil }, Name("f")).Key(1)),
		version(New(func(context.Context, []int) (int, error) { return 0, nil }, Name("f")).Key(nil)),
	} {
		if seen[v] {
			t.Errorf("the version %s is that of two functions", v)
		}
		seen[v] = true
	}
}

// If this test fails, every program that is updated loses what its store holds:
// that is a change for the notes of a release.
func TestTheVersionIsStable(t *testing.T) {
	type (
		argument = struct {
			ID    int64
			Tags  []string `json:"tags,omitempty"`
			Limit *uint8
		}
		result = map[string][3]struct {
			Scores []float64
			Held   any
		}
	)
	got := keys.Fingerprint(reflect.TypeFor[argument](), reflect.TypeFor[result]())
	if want := "8b0aa551"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestVersionReplacesTheFingerprint(t *testing.T) {
	for given, want := range map[string]string{"2": ":f:2:-:1", "a:b": ":f:a%3Ab:-:1"} {
		if got := sharedKeyOf(t, memoized[int](Version(given)), 1); got != want {
			t.Errorf("Version(%q): got %s, want %s", given, got, want)
		}
	}
	fresh := New(func(context.Context, int) (int, error) { return 0, nil }, Name("f"))
	if got, want := sharedKeyOf(t, memoized[int](Version("")), 1), sharedKeyOf(t, fresh, 1); got != want {
		t.Errorf(`Version(""): got %s, want the default %s`, got, want)
	}
}

// A program of another module goes by the fields of a type whose MarshalText this one
// goes by, so their keys must not meet: "a,b" may be the fields of one argument and the
// text of another.
func TestTheVersionTellsFromWhichMethodKeysAre(t *testing.T) {
	own := reflect.TypeFor[struct{ Where byText }]()
	version, shape := keys.Fingerprint(own), keys.ArgsShape(own, false)
	module := keys.MainModule
	defer func() { keys.MainModule = module }()
	keys.MainModule = func() string { return "example.com/another" }
	if got := keys.Fingerprint(own); got == version {
		t.Errorf("both have the version %s", got)
	}
	if got := keys.ArgsShape(own, false); got == shape {
		t.Errorf("both arguments have the shape %s", got)
	}
}
