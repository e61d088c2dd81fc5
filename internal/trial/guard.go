package trial

import (
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

	types  sync.Map // reflect.Type → verdict
	selves sync.Map // reflect.Type → whether it writes itself
	held   sync.Map // reflect.Type of an interface → *sync.Map of reflect.Type → verdict

	once  sync.Once
	works bool
}

// New returns a guard of c, which keeps to rules.
func New(c Codec, rules Rules) *Guard { return &Guard{Codec: c, rules: rules} }

// guards holds the guards of codecs that have none of their own, by codec.
var guards struct {
	sync.RWMutex
	of map[Codec]*Guard
}

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
		return &Guard{Codec: c, alike: true}
	}
	guards.RLock()
	g := guards.of[c]
	guards.RUnlock()
	if g != nil {
		return g
	}
	guards.Lock()
	defer guards.Unlock()
	if g = guards.of[c]; g == nil {
		if guards.of == nil || len(guards.of) >= maxGuards {
			guards.of = map[Codec]*Guard{}
		}
		g = &Guard{Codec: c}
		guards.of[c] = g
	}
	return g
}

// prefix begins the errors of codecs.
func (g *Guard) prefix() string { return "memo: codec: " + g.Name() + ": " }

// Check reports whether values of t would come back changed, or could not be
// written. The error is a [*Refusal].
func (g *Guard) Check(t reflect.Type) error { return g.verdict(t).err }

func (g *Guard) verdict(t reflect.Type) verdict {
	if v, ok := g.types.Load(t); ok {
		return v.(verdict)
	}
	v := g.try(t, t)
	g.types.Store(t, v)
	return v
}

// heldVerdict returns the verdict on values of t in an interface. Errors other
// than a change are not remembered: what is lacking, such as gob.Register, may
// still be done.
func (g *Guard) heldVerdict(t, in reflect.Type) verdict {
	m, ok := g.held.Load(in)
	if !ok {
		m, _ = g.held.LoadOrStore(in, new(sync.Map))
	}
	known := m.(*sync.Map)
	if v, ok := known.Load(t); ok {
		return v.(verdict)
	}
	v := g.try(t, in)
	if v.err == nil {
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
func (g *Guard) Append(dst []byte, v any) (out []byte, err error) {
	p := reflect.ValueOf(v)
	if p.Kind() != reflect.Pointer || p.IsNil() {
		return dst, fmt.Errorf("memo: codec: %s: Append needs a non-nil pointer to the value, not %T", g.Name(), v)
	}
	verdict := verdict{open: true}
	if !g.alike {
		verdict = g.verdict(p.Type().Elem())
	}
	if verdict.err != nil {
		return dst, fmt.Errorf("memo: codec: %s: %w", g.Name(), verdict.err)
	}
	out, open, err := g.write(dst, p, true)
	if err == nil && (open || verdict.open) {
		err = g.verify(out[len(dst):], p)
	}
	if err != nil {
		return dst, err
	}
	return out, nil
}

// write appends what p points to, after a look at what its type does not tell.
// What is in interfaces is tried if held is true.
func (g *Guard) write(dst []byte, p reflect.Value, held bool) (out []byte, open bool, err error) {
	defer caught(g.Name(), "Append", &err)
	if open, err = g.look(p.Elem(), held); err != nil {
		return dst, open, err
	}
	if out, err = g.Codec.Append(dst, p.Interface()); err != nil {
		return dst, open, err
	}
	return out, open || g.rules.Suspect != nil && g.rules.Suspect(out[len(dst):]), nil
}

// verify reads data back and compares it with what p points to.
func (g *Guard) verify(data []byte, p reflect.Value) error {
	got, err := g.read(data, p.Type().Elem())
	if err != nil {
		return fmt.Errorf("memo: codec: %s: %w", g.Name(), err)
	}
	d := differ{guard: g}
	if diff := d.compare(p.Elem(), got.Elem(), ""); diff != nil {
		return diff.error(g.Name())
	}
	return nil
}

func (g *Guard) read(data []byte, t reflect.Type) (got reflect.Value, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &unreadable{panicked(g.Name(), "Decode", p)}
		}
	}()
	got = reflect.New(t)
	if err := g.Decode(data, got.Interface()); err != nil {
		return got, &unreadable{err}
	}
	return got, nil
}

// roundTrip writes what p points to and reads it back.
func (g *Guard) roundTrip(p reflect.Value) (got reflect.Value, err error) {
	data, open, err := g.write(nil, p, false)
	if err == nil && open {
		err = g.verify(data, p)
	}
	if err != nil {
		return got, err
	}
	return g.read(data, p.Type().Elem())
}

// able reports whether the codec holds as little as a number. The errors of one
// that does not, because it is made for one type alone or does not work, say
// nothing about types.
func (g *Guard) able() bool {
	g.once.Do(func() {
		n := 7
		got, err := g.roundTrip(reflect.ValueOf(&n))
		g.works = err == nil && got.Elem().Int() == 7
	})
	return g.works
}
