// Package codectest checks that a codec keeps the contract of [codec.Codec].
//
// The author of a codec calls [Run] from a test:
//
//	func TestContract(t *testing.T) { codectest.Run(t, mycodec.Codec) }
//
// Each case carries the sentence of the contract that it checks, and a failure
// begins with it. So the contract can be learned by starting from a codec that
// does nothing and reading what fails.
//
// A codec need not hold every value, as long as it says so: an error from Append
// or from [codec.Check] passes, and only a value that comes back changed is a
// failure. The exception is a small core that every codec must hold: booleans,
// integers, floats, strings, structs of them, slices, maps keyed by strings,
// pointers, the zero value of each, nil, and times.
//
// Run under the race detector (go test -race): some of the cases can only
// fail there.
package codectest

import (
	"testing"

	"github.com/seed-0226adef/memo/codec"
)

// Run checks c, a subtest for each sentence of the contract.
//
// It makes no use of c after it has returned, and needs nothing but c: no
// network, no files. It takes well under a second.
func Run(t *testing.T, c codec.Codec) {
	t.Helper()
	for _, k := range cases {
		t.Run(k.name, func(t *testing.T) {
			r := &run{T: t, c: c, sentence: k.sentence}
			k.check(r)
		})
	}
}

// A contract is one sentence of the documentation of codec.Codec, and the
// check that would fail without it.
type contract struct {
	name     string
	sentence string
	check    func(*run)
}

var cases = append(append([]contract{}, bytesCases...), valueCases...)

// A run is one case under way.
type run struct {
	*testing.T
	c        codec.Codec
	sentence string
}

// broken reports that the sentence does not hold.
func (r *run) broken(format string, args ...any) {
	r.Helper()
	r.Errorf("%s.\n\t"+format, append([]any{r.sentence}, args...)...)
}

// encode returns the encoding of what v points to; not ok has been reported.
func (r *run) encode(v any) (data []byte, ok bool) {
	r.Helper()
	data, err := r.c.Append(nil, v)
	if err != nil {
		r.broken("Append(nil, %T) = %v", v, err)
		return nil, false
	}
	return data, true
}
