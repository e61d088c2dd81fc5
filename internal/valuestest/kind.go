package valuestest

import (
	"context"
	"fmt"
	"reflect"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-0226adef/memo"
	"github.com/seed-0226adef/memo/codec"
	_ "github.com/seed-0226adef/memo/contrib/proto" // messages are keys
)

// A Kind is a type, and values of it that are awkward in one way or another. No two of
// them are equal.
type Kind struct {
	// Name is that of the type, as its users write it.
	Name string

	argument func() string
	result   func(codec.Codec) string
}

// The answers of [Kind.Argument] and [Kind.Result].
const (
	// Distinct says that different values have different keys, and equal ones the
	// same.
	Distinct = "yes"
	// Same says that every value came back from the codec as it was.
	Same = "yes"
	// Equal says that what came back is equal to the value, by its own Equal method,
	// without being identical.
	Equal = "equal"
	// Refused says that New panics.
	Refused = "refused"
	// Failed says that writing some of the values is an error; the others came back
	// as they were.
	Failed = "error for some"
)

// Argument says what becomes of the kind's values as arguments: [Distinct], [Refused],
// or what went wrong.
func (k Kind) Argument() string { return k.argument() }

// Result says what becomes of the kind's values as results through c: [Same],
// [Refused], [Failed], or what went wrong.
func (k Kind) Result(c codec.Codec) string { return k.result(c) }

// kindOf makes the Kind of T. values returns the values; those of two calls are equal
// one by one and share no memory.
func kindOf[T any](values func() []T) Kind {
	return Kind{
		Name:     reflect.TypeFor[T]().String(),
		argument: func() string { return argument(values(), values()) },
		result:   func(c codec.Codec) string { return result(c, values()) },
	}
}

// of is kindOf for values that [reflect.DeepEqual] calls equal when they are, and that
// nobody writes to.
func of[T any](values ...T) Kind { return kindOf(func() []T { return values }) }

// refusal returns what f panics with, "" if it does not.
func refusal(f func()) (said string) {
	defer func() {
		if v := recover(); v != nil {
			said = fmt.Sprint(v)
		}
	}()
	f()
	return ""
}

func argument[T any](values, twins []T) string {
	var f *memo.Func[T, int]
	if refusal(func() { f = memo.New(func(context.Context, T) (int, error) { return 0, nil }, memo.Name("f")) }) != "" {
		return Refused
	}
	keys := map[string]int{}
	for i := range values {
		key, err := f.Key(values[i])
		if err != nil {
			return "no: " + err.Error()
		}
		twin, err := f.Key(twins[i])
		if err != nil || twin != key {
			return fmt.Sprintf("no: two keys for %+v", values[i])
		}
		if j, taken := keys[key]; taken {
			return fmt.Sprintf("no: one key for %+v and %+v", values[j], values[i])
		}
		keys[key] = i
	}
	return Distinct
}

func result[T any](c codec.Codec, values []T) string {
	if codec.Check(c, reflect.TypeFor[T]()) != nil {
		return Refused
	}
	failed, alike := false, false
	for i := range values {
		data, err := c.Append(nil, &values[i])
		if err != nil {
			failed = true
			continue
		}
		var got T
		if err := c.Decode(data, &got); err != nil {
			return fmt.Sprintf("no: %+v cannot be read", values[i])
		}
		switch {
		case equal(values[i], got):
		case cmp.Equal(values[i], got, cmp.Exporter(func(reflect.Type) bool { return true })):
			alike = true
		default:
			return fmt.Sprintf("no: %+v became %+v", values[i], got)
		}
	}
	switch {
	case failed && alike:
		return Equal + ", " + Failed
	case alike:
		return Equal
	case failed:
		return Failed
	}
	return Same
}

// equal reports whether a and b are the same to everybody: deeply equal, or one
// argument to memo.
func equal[T any](a, b T) bool {
	return reflect.DeepEqual(a, b) || argument([]T{a}, []T{b}) == Distinct
}
