package trial

import (
	"errors"
	"reflect"
	"runtime"
	"strings"
	"time"
)

// A verdict is what a trial has found about a type.
type verdict struct {
	refusal *Refusal // values would not come back, or cannot be written
	open    bool     // rare values would not: each is read back before it is kept
}

// A trial is one under way.
type trial struct {
	guard    *Guard
	typ      reflect.Type
	in       reflect.Type // what samples are held in: typ, or an interface
	parts    []part
	maker    maker
	evidence evidence
	unsure   bool // a type that writes itself accepts nothing that was made up
	hung     bool // one has no value on which its methods return
	open     bool
}

func (g *Guard) newTrial(t, in reflect.Type, own map[reflect.Type][]value) *trial {
	return &trial{guard: g, typ: t, in: in, maker: maker{guard: g, own: own}, evidence: evidence{kept: map[string]bool{}}}
}

// try finds out what happens to values of t, written as values of in: that is t
// or an interface that t implements.
func (g *Guard) try(t, in reflect.Type) verdict {
	tr := g.newTrial(t, in, map[reflect.Type][]value{})
	tr.parts = g.parts(t)
	for _, step := range []func() *Refusal{tr.foreseen, tr.settle, tr.plain, tr.varied, tr.missing} {
		if r := step(); r != nil {
			return verdict{refusal: r}
		} else if tr.hung {
			break
		}
	}
	return verdict{open: tr.open || tr.hung}
}

// foreseen finds what is not tried, because there is no value to try it with or
// because it would end the process.
func (tr *trial) foreseen() *Refusal {
	for _, p := range tr.parts {
		why := ""
		if endless(p.typ) {
			why = "is a pointer to itself and can hold nothing; use another type"
		} else if tr.guard.rules.Refuse != nil && !p.lost {
			why = tr.guard.rules.Refuse(p.typ)
		}
		if why != "" {
			return &Refusal{Path: p.path, Type: p.typ, Why: why}
		}
	}
	return nil
}

// endless reports whether t is a pointer to itself, as in type T *T.
func endless(t reflect.Type) bool {
	for range maxDepth {
		if t.Kind() != reflect.Pointer {
			return false
		}
		t = t.Elem()
	}
	return true
}

// settle finds good values of the types that write themselves: those that their
// methods write and read without an error. If a method does not return, even
// for the zero value, nothing else is tried.
func (tr *trial) settle() *Refusal {
	for i := len(tr.parts) - 1; i >= 0; i-- {
		p := tr.parts[i]
		s := tr.guard.shape(p.typ)
		tr.unsure = tr.unsure || !hasValues(p.typ)
		if !s.self {
			continue
		}
		good, err := tr.good(p.typ)
		switch {
		case len(good) > 0:
		case err == errHung:
			tr.hung = true
			return nil
		case s.halved != "":
			return &Refusal{Path: p.path, Type: p.typ, Why: s.halved}
		case isUnreadable(err) && isFault(err):
			return &Refusal{Path: p.path, Type: p.typ, Why: tr.guard.cannot(err)}
		default:
			tr.unsure = true
		}
		tr.maker.own[p.typ] = good
	}
	return nil
}

// good tries the states of t one by one. The error is that of the state of
// which most is known: one that was written, but could not be read.
func (tr *trial) good(t reflect.Type) (good []value, why error) {
	for _, state := range tr.guard.states(t) {
		p := reflect.New(t)
		p.Elem().Set(state)
		var err error
		if !inTime(func() { _, err = tr.guard.roundTrip(p) }) {
			return good, errHung
		}
		switch {
		case err == nil:
			good = append(good, value{Value: state})
		case why == nil || isUnreadable(err):
			why = err
		}
		tr.open = tr.open || isUnreadable(err)
	}
	// The zero value goes last: it says least.
	if len(good) > 1 && good[0].IsZero() {
		good = append(good[1:], good[0])
	}
	return good, why
}

var errHung = errors.New("a method of the type did not return")

// inTime runs f, and reports whether it returned. A method that never does so
// on a made-up value keeps its goroutine, which nothing can stop.
func inTime(f func()) bool {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-done:
		return true
	case <-timer.C:
		return false
	}
}

// plain tries the zero value and an ordinary one. The type is refused if the
// latter cannot be written and read, unless that proves nothing.
func (tr *trial) plain() *Refusal {
	diff, _ := tr.roundTrip(reflect.New(tr.typ))
	if diff != nil && !isRare(reflect.Zero(diff.Type)) {
		return diff
	}
	tr.open = tr.open || diff != nil
	diff, err := tr.roundTrip(tr.maker.sample(tr.typ))
	if r := (*Refusal)(nil); errors.As(err, &r) && r.Type != nil {
		return r // of a guard behind this codec
	}
	if err != nil && !tr.unsure && !tr.maker.spent && tr.guard.able() {
		return tr.because(err)
	}
	return diff
}

// because finds the part that err is about, by trying each alone, the inner
// ones first.
func (tr *trial) because(err error) *Refusal {
	for i := len(tr.parts) - 1; i >= 0; i-- {
		p := tr.parts[i]
		alone := tr.guard.newTrial(p.typ, p.typ, tr.maker.own)
		if p.typ.Kind() == reflect.Interface {
			continue
		}
		if _, failed := alone.roundTrip(alone.maker.sample(p.typ)); failed != nil {
			return &Refusal{Path: p.path, Type: p.typ, Why: tr.guard.cannot(failed)}
		}
	}
	return &Refusal{Type: tr.typ, Why: tr.guard.cannot(err)}
}

// cannot words the error of a codec for the type it is about.
func (g *Guard) cannot(err error) string {
	why := strings.ReplaceAll(err.Error(), g.prefix(), "")
	if isUnreadable(err) {
		return why
	}
	return "cannot be written by " + g.Name() + ": " + why
}

// varied tries samples in each of which one type is varied. An error of Append
// is the codec's refusal of this one value, and is none of the type.
func (tr *trial) varied() *Refusal {
	for _, p := range tr.parts {
		if p.lost {
			continue
		}
		for _, by := range tr.maker.variants(p.typ) {
			tr.maker.vary, tr.maker.by = p.typ, by
			diff, err := tr.roundTrip(tr.maker.sample(tr.typ))
			switch {
			case diff == nil && !isUnreadable(err):
			case by.rare || by.isEmpty():
				tr.open = true
			case diff != nil:
				return diff
			case !tr.unsure && tr.guard.able() && tr.maker.own[p.typ] == nil:
				return &Refusal{Type: tr.typ, Why: tr.guard.cannot(err)}
			}
		}
	}
	return nil
}

// missing returns a refusal of the first field that came back from no sample. If
// there are fields that came back from some, values are read back.
func (tr *trial) missing() *Refusal {
	tr.open = tr.open || tr.evidence.open
	for _, r := range tr.evidence.lost {
		if !tr.evidence.kept[r.Path] {
			return r
		}
	}
	return nil
}

// roundTrip writes the value that p points to, reads it back and compares.
func (tr *trial) roundTrip(p reflect.Value) (*Refusal, error) {
	if tr.in != tr.typ {
		if isNil(p.Elem()) {
			return nil, nil // see walk.held
		}
		held := reflect.New(tr.in)
		held.Elem().Set(p.Elem())
		p = held
	}
	got, err := tr.guard.roundTrip(p)
	if err != nil {
		return nil, err
	}
	d := differ{guard: tr.guard, evidence: &tr.evidence}
	return d.compare(p.Elem(), got.Elem(), ""), nil
}

// isFault reports whether err is a panic of the runtime's, as of a method that
// was called on nothing.
func isFault(err error) bool {
	var fault runtime.Error
	return errors.As(err, &fault)
}
