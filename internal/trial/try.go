package trial

import (
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"time"
)

// A verdict is what a trial has found about a type.
type verdict struct {
	err  error // values would not come back, or cannot be written
	open bool  // rare values would not: each is read back before it is kept
}

// A trial is one under way.
type trial struct {
	guard    *Guard
	typ      reflect.Type
	in       reflect.Type // what samples are held in: typ, or an interface
	maker    maker
	evidence evidence
	unsure   bool // a type that writes itself accepts nothing that was made up
	open     bool
}

// try finds out what happens to values of t, written as values of in: that is t
// or an interface that t implements.
func (g *Guard) try(t, in reflect.Type) verdict {
	parts := g.partsOf(t)
	if err := g.foreseen(parts); err != nil {
		return verdict{err: err}
	}
	tr := g.newTrial(t, in)
	hung, err := tr.settleOwn(parts)
	if hung || err != nil {
		return verdict{err: err, open: true}
	}
	if err := tr.plain(parts); err != nil {
		return verdict{err: err}
	}
	for _, p := range parts {
		if p.exempt {
			continue
		}
		for _, by := range tr.maker.variants(p.typ) {
			tr.maker.vary, tr.maker.by = p.typ, by
			if err := tr.varied(by.rare || by.isEmpty(p.typ)); err != nil {
				return verdict{err: err}
			}
		}
	}
	err = tr.missing()
	return verdict{err: err, open: tr.open}
}

func (g *Guard) newTrial(t, in reflect.Type) *trial {
	return &trial{guard: g, typ: t, in: in, maker: maker{own: map[reflect.Type][]reflect.Value{}},
		evidence: newEvidence()}
}

// foreseen finds what is not tried, because there is no value to try it with or
// because it would end the process.
func (g *Guard) foreseen(parts []part) error {
	for _, p := range parts {
		why := ""
		if endless(p.typ) {
			why = "is a pointer to itself and can hold nothing; use another type"
		} else if g.rules.Refuse != nil && !p.exempt {
			why = g.rules.Refuse(p.typ)
		}
		if why != "" {
			return &Refusal{p.path, p.typ, why}
		}
	}
	return nil
}

// plain tries the zero value and an ordinary one. The type is refused if the
// latter cannot be written and read, unless that proves nothing.
func (tr *trial) plain(parts []part) error {
	for i, v := range []reflect.Value{reflect.New(tr.typ), tr.maker.sample(tr.typ)} {
		zero := i == 0
		diff, err := tr.roundTrip(v)
		var r *Refusal
		switch {
		case diff != nil && zero && isRare(reflect.Zero(diff.typ)):
			tr.open = true
		case diff != nil:
			return diff.refusal(tr.guard.Name())
		case errors.As(err, &r):
			return r // of a guard behind this codec
		case err != nil && !zero:
			return tr.because(parts, err)
		}
	}
	return nil
}

// because finds the part that err is about, by trying each alone, the inner
// ones first. It returns nil if err proves nothing.
func (tr *trial) because(parts []part, err error) error {
	if tr.unsure || tr.maker.spent || !tr.guard.able() {
		return nil
	}
	for i := len(parts) - 1; i >= 0; i-- {
		p := parts[i]
		alone := tr.guard.newTrial(p.typ, p.typ)
		alone.maker.own = tr.maker.own
		if _, failed := alone.roundTrip(alone.maker.sample(p.typ)); failed != nil && p.typ.Kind() != reflect.Interface {
			return &Refusal{p.path, p.typ, tr.guard.cannot(failed)}
		}
	}
	return &Refusal{"", tr.typ, tr.guard.cannot(err)}
}

// cannot words the error of a codec for the type it is about.
func (g *Guard) cannot(err error) string {
	if isUnreadable(err) {
		return strings.ReplaceAll(err.Error(), g.prefix(), "")
	}
	return "cannot be written by " + g.Name() + ": " + strings.TrimPrefix(err.Error(), g.prefix())
}

// varied tries a sample in which one type is varied. An error of Append is the
// codec's refusal of this one value, and is none of the type.
func (tr *trial) varied(rare bool) error {
	diff, err := tr.roundTrip(tr.maker.sample(tr.typ))
	switch {
	case diff == nil && !isUnreadable(err):
		return nil
	case rare:
		tr.open = true
		return nil
	case diff != nil:
		return diff.refusal(tr.guard.Name())
	case tr.unsure || !tr.guard.able() || tr.maker.own[tr.maker.vary] != nil:
		return nil
	}
	return &Refusal{"", tr.typ, tr.guard.cannot(err)}
}

// missing returns a refusal of the first field that came back from no sample. If
// there are fields that came back from some, values are read back.
func (tr *trial) missing() error {
	tr.open = tr.open || len(tr.evidence.order) > 0
	for _, path := range tr.evidence.order {
		if !tr.evidence.isKept(path) {
			return tr.evidence.lost[path].refusal(tr.guard.Name())
		}
	}
	return nil
}

// An unreadable error is of a Decode that fails for what Append wrote.
type unreadable struct{ err error }

func (e *unreadable) Error() string {
	return "is written, and cannot be read back: " + e.err.Error()
}
func (e *unreadable) Unwrap() error { return e.err }

func isUnreadable(err error) bool {
	var u *unreadable
	return errors.As(err, &u)
}

// roundTrip of a trial writes the value that v points to, reads it back and compares.
func (tr *trial) roundTrip(v reflect.Value) (*difference, error) {
	if tr.in != tr.typ && isNil(v.Elem()) {
		return nil, nil // see walk.held
	}
	got, err := tr.guard.roundTrip(tr.held(v))
	if err != nil {
		return nil, err
	}
	d := differ{guard: tr.guard, evidence: &tr.evidence}
	return d.compare(tr.held(v).Elem(), got.Elem(), ""), nil
}

// held returns a pointer to what v points to, as a value of tr.in.
func (tr *trial) held(v reflect.Value) reflect.Value {
	if tr.in == tr.typ {
		return v
	}
	p := reflect.New(tr.in)
	p.Elem().Set(v.Elem())
	return p
}

// settleOwn finds good values of the types that write themselves: those that
// their methods write and read without an error. It reports whether a method
// did not return, even for the zero value.
func (tr *trial) settleOwn(parts []part) (hung bool, err error) {
	for i := len(parts) - 1; i >= 0; i-- {
		p := parts[i]
		tr.unsure = tr.unsure || !hasValues(p.typ)
		if isKnown(p.typ) || !tr.guard.writesItself(p.typ) {
			continue
		}
		good, why := tr.good(p.typ)
		switch {
		case len(good) > 0:
		case why == errHung:
			return true, nil
		case tr.guard.halved(p.typ) != "":
			return false, &Refusal{p.path, p.typ, tr.guard.halved(p.typ)}
		case isUnreadable(why) && isFault(why):
			return false, &Refusal{p.path, p.typ, tr.guard.cannot(why)}
		default:
			tr.unsure = true
		}
		tr.maker.own[p.typ] = good
	}
	return false, nil
}

// good tries the states of t one by one. The error is that of the state of
// which most is known: one that was written, but could not be read.
func (tr *trial) good(t reflect.Type) (good []reflect.Value, why error) {
	for _, state := range tr.guard.states(t) {
		v := reflect.New(t)
		v.Elem().Set(state)
		var err error
		if !inTime(func() { _, err = tr.guard.roundTrip(v) }) {
			return good, errHung
		}
		switch {
		case err == nil:
			good = append(good, state)
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

// caught turns a panic into an error. Methods of values panic on what was made
// up (and MarshalJSON on a nil pointer is a classic); so do the libraries, on
// some inputs. Neither may take down the caller of a cache.
func caught(codec, method string, err *error) {
	if p := recover(); p != nil {
		*err = panicked(codec, method, p)
	}
}

func panicked(codec, method string, p any) error {
	if cause, ok := p.(error); ok {
		return fmt.Errorf("memo: codec: %s: %s: panic: %w", codec, method, cause)
	}
	return fmt.Errorf("memo: codec: %s: %s: panic: %v", codec, method, p)
}

// isFault reports whether err is a panic of the runtime's, as of a method that
// was called on nothing.
func isFault(err error) bool {
	var fault runtime.Error
	return errors.As(err, &fault)
}
