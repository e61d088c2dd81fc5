package codec_test

import (
	"bytes"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/seed-0226adef/memo/codec"
)

var raceEnabled bool

// plain has every part that a decoder treats on its own.
type plain struct {
	I    int
	S    string
	B    []byte
	L    []string
	M    map[string]string
	N    map[int]*plain
	X    any
	Y    map[string]any
	P    *plain
	Many []plain
}

func FuzzDecode(f *testing.F) {
	v := &plain{I: 1, S: "s", B: []byte("b"), L: []string{"l"}, M: map[string]string{"k": "v"}, X: []any{"x", 1.5},
		Y: map[string]any{"y": nil}, Many: []plain{{I: 2}}, P: &plain{N: map[int]*plain{3: {I: 4}}}}
	for i, c := range codecs {
		data, err := c.Append(nil, v)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(uint8(i), data)
		f.Add(uint8(i), []byte(nil))
	}
	for _, bomb := range bombs() {
		f.Add(uint8(1), bomb)
	}
	f.Fuzz(func(t *testing.T, which uint8, data []byte) {
		c := codecs[int(which)%len(codecs)]
		before := bytes.Clone(data)
		for _, v := range []any{new(plain), new(any), new([]int), new(map[string]string), new(string), new([]byte), new(*plain)} {
			grown := allocated(func() {
				if err := c.Decode(data, v); err != nil {
					return
				}
				// What can be read can be written again, or is refused aloud.
				if out, err := c.Append(nil, v); err == nil {
					if err := c.Decode(out, v); err != nil {
						t.Errorf("%s: %q was read, written as %q and not read again: %v", c.Name(), data, out, err)
					}
				}
			})
			// Package gob allocates up to 10 MB ahead for a slice.
			if limit := uint64(64<<20 + 4096*len(data)); grown > limit {
				t.Errorf("%s: decoding %d bytes into %T allocated %d", c.Name(), len(data), v, grown)
			}
		}
		if !bytes.Equal(data, before) {
			t.Errorf("%s: Decode changed its input", c.Name())
		}
	})
}

func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// bombs are small MessagePack inputs that claim to be large.
func bombs() [][]byte {
	huge := "\xff\xff\xff\xff"
	return [][]byte{
		[]byte("\xdd" + huge), []byte("\xdf" + huge), []byte("\xc6" + huge), []byte("\xdb" + huge), []byte("\xc9" + huge + "\xff"),
		// An extension, of which package msgpack takes the contents for a map.
		[]byte("\xc7\x05\x00\xdf" + huge), []byte("\xd7\xff\xdf" + huge + "\xff\xff\xff"), []byte("\x81\xa1Y\xd4\x00\xdf" + huge),
		[]byte("\xc7\x08\x00\x81\xa1k\xc6" + huge), []byte("\xc7\x08\x00\x81\xa1B\xc6" + huge),
		[]byte("\x81\xa1X\xdd" + huge), []byte("\x81\xa1Y\xdf" + huge), []byte("\x81\xa1B\xc6" + huge), []byte("\x81\xa4Many\xdd\x00\xff\xff\xff"),
	}
}

func TestMsgPackDoesNotBelieveLengths(t *testing.T) {
	for _, bomb := range bombs() {
		for _, v := range []any{new(plain), new(any), new([]int), new(map[string]any), new(map[string][]byte), new([]byte), new(string)} {
			var err error
			if grown := allocated(func() { err = codec.MsgPack.Decode(bomb, v) }); grown > 1<<20 || err == nil && reflect.TypeOf(v) != reflect.TypeFor[*any]() { // one of them is a time
				t.Errorf("Decode(%q, %T) = %v, and allocated %d bytes", bomb, v, err, grown)
			}
		}
	}
}

func TestGobDoesNotBelieveLengths(t *testing.T) {
	v := map[string]int{"a": 1}
	data, err := codec.Gob.Append(nil, &v)
	if err != nil {
		t.Fatal(err)
	}
	// The last message ends with the map: its length, "a" and 1.
	last := lastMessage(data)
	at := bytes.LastIndex(data, []byte("\x01\x01a\x02"))
	bomb := append(bytes.Clone(data[:at]), "\xfc\x08\x00\x00\x00\x01a\x02"...)
	bomb[last] += 4
	var got map[string]int
	if grown := allocated(func() { err = codec.Gob.Decode(bomb, &got) }); err == nil || grown > 1<<20 {
		t.Errorf("Decode(%q) = %v, and allocated %d bytes", bomb, err, grown)
	}
	if !strings.Contains(err.Error(), "ends within a value") {
		t.Errorf("Decode(%q) = %v, which is not the guard for lengths", bomb, err)
	}
}

// lastMessage returns where the last message of a gob begins, whose messages are
// all short.
func lastMessage(data []byte) int {
	last := 1
	for last+1+int(data[last]) < len(data) {
		last += 1 + int(data[last])
	}
	return last
}

// A stack that overflows ends the process, so without the guard this test
// does not fail but takes the test binary with it.
func TestDecodeBoundsDepth(t *testing.T) {
	const deep = 20_000_000
	if err := codec.MsgPack.Decode(bytes.Repeat([]byte{0x91}, deep), new(any)); err == nil {
		t.Error("msgpack: Decode of arrays without end gave no error")
	}
	if err := codec.JSON.Decode(bytes.Repeat([]byte{'['}, deep), new(any)); err == nil {
		t.Error("json: Decode of arrays without end gave no error")
	}
	type list []list
	data, err := codec.Gob.Append(nil, &list{{}})
	if err != nil {
		t.Fatal(err)
	}
	// The value is the last message: its length, a type, 0, and then 1, 0.
	last := lastMessage(data)
	message := append(bytes.Clone(data[last+1:len(data)-2]), bytes.Repeat([]byte{1}, deep)...)
	n := len(message)
	nested := append(append(bytes.Clone(data[:last]), 0xfc, byte(n>>24), byte(n>>16), byte(n>>8), byte(n)), message...)
	if err := codec.Gob.Decode(nested, new(list)); err == nil || !strings.Contains(err.Error(), "levels deep") {
		t.Errorf("gob: Decode of slices without end = %v", err)
	}
}

type pair struct {
	A string
	B int
}

func (p *pair) EncodeMsgpack(e *msgpack.Encoder) error { return e.EncodeMulti(p.A, p.B) }
func (p *pair) DecodeMsgpack(d *msgpack.Decoder) error { return d.DecodeMulti(&p.A, &p.B) }

func TestMsgPackReadsTypesThatWriteSeveralValues(t *testing.T) {
	comesBack(t, codec.MsgPack, pair{"a", 1})
	comesBack(t, codec.MsgPack, []pair{{"a", 1}, {"b", 2}})
}

type fragile struct{ A int }

func (f fragile) MarshalMsgpack() ([]byte, error)  { return msgpack.Marshal(f.A) }
func (f *fragile) UnmarshalMsgpack(b []byte) error { return msgpack.Unmarshal(b, &f.A) }

// A decoder that fails while it records for UnmarshalMsgpack stays in that
// state: in the pool it would go on recording, and copy all that it reads.
func TestMsgPackDropsDecodersThatFailed(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector drops what is pooled")
	}
	long := strings.Repeat("x", maxPooled-100)
	data, err := codec.MsgPack.Append(nil, &long)
	if err != nil {
		t.Fatal(err)
	}
	read := func() {
		for range 100 {
			if err := codec.MsgPack.Decode(data, new(string)); err != nil {
				t.Fatal(err)
			}
		}
	}
	read()
	before := allocated(read)
	// P takes two values where one is announced, so F finds none.
	forged := []byte("\x82\xa1P\xa1a\x01\xa1F")
	for range 20 {
		if err := codec.MsgPack.Decode(forged, new(struct {
			P pair
			F fragile
		})); err == nil {
			t.Fatal("Decode of a forged value gave no error")
		}
	}
	if after := allocated(read); after > before+before/2 {
		t.Errorf("after a failure, decoding allocates %d bytes; before, %d", after, before)
	}
}

// maxPooled is the length of input beyond which a decoder is not used again.
const maxPooled = 64 << 10
