package wire

import (
	"bytes"
	"flag"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/seed-0226adef/memo/store"
)

var writeEntries = flag.Bool("write-entries", false, "add the entries of this format version to testdata/entries")

// tokenOf makes a token that is easy to tell in a dump.
func tokenOf(b byte) store.Token { return store.Token(bytes.Repeat([]byte{b}, store.TokenSize)) }

const corpusKey = "shop:users.byID:fdcb5a6c:-:42"

// corpus are the entries in testdata/entries, by file name. The files are never
// written again: what a version wrote, every later version must read.
var corpus = map[string]Record{
	"v1-result": {
		Token: tokenOf(1), Kind: KindResult, Replaced: tokenOf(9), Created: 1700000000123456789,
		Fresh: time.Minute, Stale: time.Hour, Cost: 42 * time.Millisecond, Codec: []byte("json"),
		Scopes:  []ScopeEpoch{{"", tokenOf(2)}, {"shop/users", tokenOf(3)}, {"shop", tokenOf(4)}},
		Tags:    []TagEpochs{{"shop/users", "user:42", []store.Token{tokenOf(5), tokenOf(6)}}, {"", "loose", nil}},
		Payload: []byte(`{"Name":"Ann"}`),
	},
	"v1-forever": {
		Token: tokenOf(1), Kind: KindResult, Created: 1700000000123456789, Fresh: math.MaxInt64, Codec: []byte("msgpack"),
		Scopes: []ScopeEpoch{{"", tokenOf(2)}}, Payload: []byte{0xa3, 'A', 'n', 'n'},
	},
	"v1-absent": {
		Token: tokenOf(1), Kind: KindResult, Created: 1700000000123456789, Fresh: time.Second,
		Scopes: []ScopeEpoch{{"", tokenOf(2)}},
	},
	"v1-expired": {
		Token: tokenOf(1), Kind: KindResult, Expired: true, Created: 1700000000123456789, Fresh: time.Second, Stale: time.Hour,
		Codec: []byte("json"), Scopes: []ScopeEpoch{{"", tokenOf(2)}}, Payload: []byte("1"),
	},
	"v1-epoch-with-former-ones": {
		Token: tokenOf(1), Kind: KindEpoch, Epoch: tokenOf(2), Written: 1700000000, Life: time.Hour,
		Former: []FormerEpoch{{tokenOf(3), 1700000000123456789}, {tokenOf(4), 1700000000223456789}},
	},
	"v1-lease":    {Token: tokenOf(1), Kind: KindLease, Scopes: []ScopeEpoch{{"", tokenOf(2)}}, Failed: 3},
	"v1-released": {Token: tokenOf(1), Kind: KindReleased, Failed: 4},
	"v1-epoch":    {Token: tokenOf(1), Kind: kindOldEpoch, Epoch: tokenOf(1), Mark: Mark{tokenOf(2), 300}},
	"v1-turn":     {Token: tokenOf(1), Kind: kindOldTurn, Epoch: tokenOf(1), Mark: Mark{tokenOf(2), 1 << 40}},
	"v1-epoch-of-a-tag": {
		Token: tokenOf(1), Kind: KindEpoch, Epoch: tokenOf(2), Mark: Mark{tokenOf(3), 300}, Written: 1700000000, Life: time.Hour,
	},
	"v1-epoch-of-a-function": {
		Token: tokenOf(1), Kind: KindEpoch, Epoch: tokenOf(2), Written: 1700000000,
		Versions: []Version{{"users.byID:fdcb5a6c:-:", "12345678", false}, {"users.byID:0badcafe:@shop:", "87654321", true}},
	},
}

// storedAs compares what entries say.
var storedAs = cmp.Options{cmp.AllowUnexported(Record{}, ScopeEpoch{}, TagEpochs{}, Mark{}, Version{}), cmpopts.EquateEmpty()}

func encoded(t testing.TB, key string, s Record) []byte {
	t.Helper()
	b, err := s.Encode(key, func(b []byte) ([]byte, error) { return append(b, s.Payload...), nil })
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestEntriesOfEveryVersionAreRead(t *testing.T) {
	for name, want := range corpus {
		path := filepath.Join("testdata", "entries", name)
		if _, err := os.Stat(path); *writeEntries && os.IsNotExist(err) {
			if err := os.WriteFile(path, encoded(t, corpusKey, want), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Decode(corpusKey, b)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(&want, got, storedAs); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	files, err := os.ReadDir(filepath.Join("testdata", "entries"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if _, ok := corpus[f.Name()]; !ok {
			t.Errorf("nothing says what %s holds", f.Name())
		}
	}
}

func TestEntryOfAnotherKeyIsForeign(t *testing.T) {
	for name, s := range corpus {
		for _, key := range []string{"", corpusKey + "0", strings.Replace(corpusKey, "42", "43", 1)} {
			if _, err := Decode(key, encoded(t, corpusKey, s)); err != ErrUnknown {
				t.Errorf("%s was read as the entry of %q: %v", name, key, err)
			}
		}
	}
}

func TestEntryThatWasDamagedIsForeign(t *testing.T) {
	for name, s := range corpus {
		whole := encoded(t, corpusKey, s)
		for i := range whole {
			for bit := range 8 {
				b := bytes.Clone(whole)
				b[i] ^= 1 << bit
				if _, err := Decode(corpusKey, b); err != ErrUnknown {
					t.Fatalf("%s: bit %d of byte %d was flipped, and nobody noticed", name, bit, i)
				}
			}
			if _, err := Decode(corpusKey, whole[:i]); err != ErrUnknown {
				t.Fatalf("%s: it was cut at byte %d, and nobody noticed", name, i)
			}
		}
		if _, err := Decode(corpusKey, append(bytes.Clone(whole), 0)); err != ErrUnknown {
			t.Errorf("%s: a byte too many went unnoticed", name)
		}
	}
}

// sealed returns b with the sum that belongs to it.
func sealed(b []byte) []byte {
	b = bytes.Clone(b)
	if len(b) >= headerSize {
		sum := checksum(b)
		b[sumAt], b[sumAt+1], b[sumAt+2], b[sumAt+3] = byte(sum), byte(sum>>8), byte(sum>>16), byte(sum>>24)
	}
	return b
}

func TestEntryOfAnotherFormatIsForeign(t *testing.T) {
	for _, tt := range []struct {
		name string
		at   int
		to   byte
	}{
		{"a later version", store.TokenSize + 1, formatVersion + 1},
		{"no version", store.TokenSize + 1, 0},
		{"another mark", store.TokenSize, 'n'},
		{"an unknown kind", kindAt, 'q'},
	} {
		b := encoded(t, corpusKey, corpus["v1-result"])
		b[tt.at] = tt.to
		if _, err := Decode(corpusKey, sealed(b)); err != ErrUnknown {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

// FuzzEntry gives decodeEntry bytes whose sum is right, so that it has to look at
// the rest.
func FuzzEntry(f *testing.F) {
	for _, s := range corpus {
		f.Add(encoded(f, corpusKey, s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := Decode(corpusKey, b); err != nil && err != ErrUnknown {
			t.Fatal(err)
		}
		got, err := Decode(corpusKey, sealed(b))
		if err != nil {
			return
		}
		things := len(got.Scopes) + len(got.Tags)
		for _, t := range got.Tags {
			things += len(t.Epochs)
		}
		if things > len(b) {
			t.Errorf("%d bytes became %d things", len(b), things)
		}
		if got.Fresh < 0 || got.Stale < 0 || got.Cost < 0 {
			t.Errorf("a negative duration: %+v", got)
		}
		again, err := Decode(corpusKey, encoded(t, corpusKey, *got))
		if diff := cmp.Diff(got, again, storedAs); err != nil || diff != "" {
			t.Errorf("written again it reads otherwise: %v %s", err, diff)
		}
	})
}
