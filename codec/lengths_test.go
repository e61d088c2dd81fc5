package codec_test

import (
	"encoding/binary"
	"testing"

	"github.com/seed-0226adef/memo/codec"
)

// Where an int has 32 bits, a length beyond 2 GiB became negative, passed for that of nil,
// and an empty value was returned with no error.
func TestMsgPackRefusesEveryLengthThatIsNotThere(t *testing.T) {
	kinds := map[string]byte{"bytes": 0xc6, "string": 0xdb, "array": 0xdd, "map": 0xdf, "extension": 0xc9}
	for kind, c := range kinds {
		for _, n := range []uint32{2, 1 << 30, 1<<31 - 1, 1 << 31, 1<<31 + 1, 1<<32 - 2, 1<<32 - 1} {
			data := binary.BigEndian.AppendUint32([]byte{c}, n)
			for _, inside := range [][]byte{data, append(data[:5:5], 0), append([]byte("\x81\xa1S"), data...), append([]byte("\x81\xa1L"), data...)} {
				for _, v := range []any{new([]byte), new(string), new([]int), new([]string), new(map[string]int), new(any), new(plain)} {
					if err := codec.MsgPack.Decode(inside, v); err == nil {
						t.Errorf("%s of %d in %x: Decode into %T gave no error", kind, n, inside, v)
					}
				}
			}
		}
	}
}
