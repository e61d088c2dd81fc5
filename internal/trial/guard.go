package trial

import (
	"errors"
	"fmt"
	"reflect"
	"sync"
)

// A Guard stands in front of a codec, and lets nothing through that would come
// back changed. It is a codec itself, and is safe for concurrent use.
type Guard struct {
	Codec
	rules Rules
	alike bool // the codec cannot be told from another of its type: nothing is remembered

	shapes   sync.Map // reflect.Type → *shape
	verdicts sync.Map // reflect.Type that values are written as → *sync.Map of their reflect.Type → verdict

	// able reports whether the codec holds as little as a number. The errors of
	// one that does not, because it is made for one type alone or does not
	// work, say nothing about types.
	able func() bool
}

// New returns a guard of c, which keeps to rules.
func New(c Codec, rules Rules) *Guard {
	if rules.Methods == nil {
		rules.Methods = usual
	}
	g := &Guard{Codec: c, rules: rules}
	g.able = sync.OnceValue(func() bool {
		got, err := g.roundTrip(reflect.ValueOf(new(7)))
		return err == nil && got.Elem().Int() == 7
	})
	return g
}

// guards holds the guards of codecs that have none of their own, by codec.
var guards = struct {
	sync.Mutex
	of map[Codec]*Guard
}{of: map[Codec]*Guard{}}

// maxGuards bounds how many codecs are remembered, in a program that makes a
// new one for each call.
const maxGuards = 256

// For returns the guard of c: c itself, if it is one.
//
// A codec that is not comparable cannot be recognized, so its guard is new each
// time. It tries each type again, and reads back each value.
func For(c Codec) *Guard {
	if g, ok := c.(*Guard); ok {
		return g
	}
	if !reflect.ValueOf(c).Comparable() {
		g := New(c, Rules{})
		g.alike = true
		return g
	}
	guards.Lock()
	defer guards.Unlock()
	if guards.of[c] == nil {
		if len(guards.of) >= maxGuards {
			clear(guards.of)
		}
		guards.of[c] = New(c, Rules{})
	}
	return guards.of[c]
}

// prefix begins the errors of codecs.
func (g *Guard) prefix() string { return "memo: codec: " + g.Name() + ": " }

// Check reports whether values of t would come back changed, or could not be
// written. The error is a [*Refusal].
func (g *Guard) Check(t reflect.Type) error {
	if r := g.verdict(t, t).refusal; r != nil {
		return r
	}
	return nil
}

// verdict returns what happens to values of t, written as values of in: that is
// t or an interface. A refusal of what is in an interface is not remembered:
// what is lacking, such as gob.Register, may still be done.
func (g *Guard) verdict(t, in reflect.Type) verdict {
	m, ok := g.verdicts.Load(in)
	if !ok {
		m, _ = g.verdicts.LoadOrStore(in, new(sync.Map))
	}
	known := m.(*sync.Map)
	if v, ok := known.Load(t); ok {
		return v.(verdict)
	}
	v := g.try(t, in)
	if v.refusal == nil || in == t {
		known.Store(t, v)
	}
	return v
}

// Append is Append of the codec, for values that come back as they were; others
// are an error.
//
//   - Values of a type that Check refuses are refused.
//   - What is behind interfaces is tried when its type is met first.
//   - If rare values of the type would change, the value is read back and
//     compared.
func (g *Guard) Append(dst []byte, v any) ([]byte, error) {
	p, err := g.target("Append", v)
	if err != nil {
		return dst, err
	}
	verdict := verdict{open: true}
	if !g.alike {
		verdict = g.verdict(p.Type().Elem(), p.Type().Elem())
	}
	if verdict.refusal != nil {
		return dst, fmt.Errorf("%s%w", g.prefix(), verdict.refusal)
	}
	out, open, err := g.write(dst, p, true)
	if err == nil && (open || verdict.open) {
		_, err = g.read(out[len(dst):], p, true)
	}
	if err != nil {
		return dst, err
	}
	return out, nil
}

// Decode is Decode of the codec, of which a panic is an error, into a value that
// has been set to zero.
func (g *Guard) Decode(data []byte, v any) (err error) {
	p, err := g.target("Decode", v)
	if err != nil {
		return err
	}
	defer g.caught("Decode", &err)
	p.Elem().SetZero()
	return g.Codec.Decode(data, v)
}

func (g *Guard) target(method string, v any) (reflect.Value, error) {
	p := reflect.ValueOf(v)
	if p.Kind() != reflect.Pointer || p.IsNil() {
		return p, fmt.Errorf("%s%s needs a non-nil pointer to the value, not %T", g.prefix(), method, v)
	}
	return p, nil
}

// caught turns a panic into an error. Methods of values panic on what was made
// up (and MarshalJSON on a nil pointer is a classic); so do the libraries, on
// some inputs. Neither may take down the caller of a cache.
func (g *Guard) caught(method string, err *error) {
	if p := recover(); p != nil {
		cause, ok := p.(error)
		if !ok {
			cause = fmt.Errorf("%v", p)
		}
		*err = fmt.Errorf("%s%s: panic: %w", g.prefix(), method, cause)
	}
}

// write appends what p points to, after a look at what its type does not tell.
// What is in interfaces is tried if try is true.
func (g *Guard) write(dst []byte, p reflect.Value, try bool) (out []byte, open bool, err error) {
	defer g.caught("Append", &err)
	w := walk{guard: g, try: try}
	if r := w.value(p.Elem(), 0, false); r != nil {
		return dst, false, fmt.Errorf("%s%w", g.prefix(), r)
	}
	if out, err = g.Codec.Append(dst, p.Interface()); err != nil {
		return dst, false, err
	}
	return out, w.open || g.rules.Suspect != nil && g.rules.Suspect(out[len(dst):]), nil
}

// read returns a pointer to what data holds of what p points to. If exact is
// true, the two have to be the same.
func (g *Guard) read(data []byte, p reflect.Value, exact bool) (got reflect.Value, err error) {
	got = reflect.New(p.Type().Elem())
	if err := g.Decode(data, got.Interface()); err != nil {
		return got, fmt.Errorf("%s%w", g.prefix(), &unreadable{err})
	}
	if exact {
		d := differ{guard: g}
		if r := d.compare(p.Elem(), got.Elem(), ""); r != nil {
			return got, fmt.Errorf("%s%w", g.prefix(), r)
		}
	}
	return got, nil
}

// roundTrip writes what p points to and reads it back.
func (g *Guard) roundTrip(p reflect.Value) (got reflect.Value, err error) {
	data, open, err := g.write(nil, p, false)
	if err != nil {
		return got, err
	}
	return g.read(data, p, open)
}

// An unreadable error is of a Decode that fails for what Append wrote.
type unreadable struct{ err error }

func (e *unreadable) Error() string { return "is written, and cannot be read back: " + e.err.Error() }
func (e *unreadable) Unwrap() error { return e.err }

func isUnreadable(err error) bool {
	var u *unreadable
	return errors.As(err, &u)
}
