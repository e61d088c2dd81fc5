package valuestest

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/seed-0226adef/memo/codec"
	memoproto "github.com/seed-0226adef/memo/contrib/proto"
)

var update = flag.Bool("update", false, "rewrite the table in docs/codecs.md")

const (
	page  = "../../docs/codecs.md"
	begin = "<!-- values -->\n"
	end   = "<!-- end of values -->\n"
)

var codecs = []codec.Codec{codec.JSON, codec.MsgPack, codec.Gob, memoproto.Codec}

func table() []byte {
	var b bytes.Buffer
	b.WriteString("| | as an argument |")
	for _, c := range codecs {
		fmt.Fprintf(&b, " %s |", c.Name())
	}
	b.WriteString("\n|---|---|" + strings.Repeat("---|", len(codecs)) + "\n")
	for _, k := range append(Standard(), Others()...) {
		fmt.Fprintf(&b, "| %s | %s |", k.Name, cell(k.Argument()))
		for _, c := range codecs {
			fmt.Fprintf(&b, " %s |", cell(k.Result(c)))
		}
		b.WriteString("\n")
	}
	return b.Bytes()
}

// cell returns an answer as a cell of the table: one that begins with no has the values
// after it, which are long.
func cell(answer string) string {
	if strings.HasPrefix(answer, "no: ") {
		return "no"
	}
	return answer
}

func TestTableInTheDocsIsTrue(t *testing.T) {
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := bytes.Cut(text, []byte(begin))
	old, after, closed := bytes.Cut(rest, []byte(end))
	if !found || !closed {
		t.Fatalf("%s has no %q and %q", page, begin, end)
	}
	got := table()
	if bytes.Equal(got, old) {
		return
	}
	if !*update {
		t.Fatalf("the table in %s is not true any more; run go test -update here:\n%s", page, got)
	}
	if err := os.WriteFile(page, bytes.Join([][]byte{before, []byte(begin), got, []byte(end), after}, nil), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestDifferentArgumentsHaveDifferentKeysAndEqualOnesTheSame(t *testing.T) {
	for _, k := range append(Standard(), Others()...) {
		if got := k.Argument(); got != Distinct && got != Refused {
			t.Errorf("%s: %s", k.Name, got)
		}
	}
}

func TestResultsComeBackAsTheyWereOrAreRefused(t *testing.T) {
	for _, k := range append(Standard(), Others()...) {
		for _, c := range codecs {
			if got := k.Result(c); strings.HasPrefix(got, "no") {
				t.Errorf("%s through %s: %s", k.Name, c.Name(), got)
			}
		}
	}
}
