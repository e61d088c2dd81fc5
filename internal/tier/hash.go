package tier

import (
	"encoding/binary"
	"hash/maphash"
	"math/bits"
	"math/rand/v2"
	"unsafe"
)

// Hash returns a hash of key, by seeds of the process. Keys of up to 32 bytes are multiplied
// as wyhash does with its last ones, which is inlined and takes less than half as long as the
// runtime's hash.
func Hash(key string) uint64 {
	switch n := len(key); {
	case n > 32:
		return maphash.String(seed, key)
	case n > 16:
		return mix(load64(key, 0)^seeds[0], load64(key, 8)^seeds[1]) ^
			mix(load64(key, n-16)^seeds[2], load64(key, n-8)^seeds[3]^uint64(n))
	case n >= 8:
		return mix(load64(key, 0)^seeds[0], load64(key, n-8)^seeds[1]^uint64(n))
	default:
		return hashShort(key)
	}
}

func hashShort(key string) uint64 {
	var b [8]byte
	copy(b[:], key)
	return mix(binary.LittleEndian.Uint64(b[:])^seeds[0], seeds[1]^uint64(len(key)))
}

// mix is the product of both, folded.
func mix(a, b uint64) uint64 {
	high, low := bits.Mul64(a, b)
	return high ^ low
}

func load64(s string, at int) uint64 {
	return binary.LittleEndian.Uint64(unsafe.Slice(unsafe.StringData(s), len(s))[at:])
}

var (
	seed  = maphash.MakeSeed()
	seeds = [4]uint64{rand.Uint64(), rand.Uint64(), rand.Uint64(), rand.Uint64()}
)
