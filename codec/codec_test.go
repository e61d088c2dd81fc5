package codec_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/seed-0226adef/memo/codec"
	"github.com/seed-0226adef/memo/codec/codectest"
)

// Package msgpack starts goroutines that never end to keep new values in
// stock, unless it is held back from it.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var codecs = []codec.Codec{codec.JSON, codec.MsgPack, codec.Gob}

// each runs a test for each of the codecs.
func each(t *testing.T, f func(*testing.T, codec.Codec)) {
	for _, c := range codecs {
		t.Run(c.Name(), func(t *testing.T) { f(t, c) })
	}
}

func TestContract(t *testing.T) { each(t, codectest.Run) }
