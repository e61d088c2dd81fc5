package wire

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-0226adef/memo/store"
)

func TestMessagesComeBackAsTheyWere(t *testing.T) {
	m := &Message{Sender: store.NewToken(), Prefix: "shop:"}
	for i := range 1000 {
		m.Keys = append(m.Keys, fmt.Sprint("shop:f:v:-:", i))
	}
	var got []string
	all := m.AppendTo(nil)
	for _, b := range all {
		if len(b) > store.MaxMessage {
			t.Errorf("a message has %d bytes, want %d at most", len(b), store.MaxMessage)
		}
		d, ok := DecodeMessage(b)
		if !ok || d.Sender != m.Sender || d.Prefix != m.Prefix {
			t.Fatalf("%q was decoded to %+v, %t", b, d, ok)
		}
		got = append(got, d.Keys...)
	}
	if diff := cmp.Diff(m.Keys, got); diff != "" {
		t.Errorf("keys (-want +got):\n%s", diff)
	}
	if len(all) > 4 {
		t.Errorf("%d messages for 16,000 bytes of keys", len(all))
	}
}

func TestMessageTakesNoMoreThanItsLimit(t *testing.T) {
	for n := store.MaxMessage - 80; n < store.MaxMessage+10; n++ {
		m := &Message{Prefix: ":", Keys: []string{strings.Repeat("k", n), "a b", "", "ü", ":x"}}
		all := m.AppendTo(nil)
		for _, b := range all {
			if _, ok := DecodeMessage(b); !ok || len(b) > store.MaxMessage {
				t.Errorf("a message of %d bytes with a key of %d is not taken", len(b), n)
			}
		}
		if len(all) == 0 {
			t.Error("the key that fits was not sent")
		}
	}
}

func TestMessagesThatAreNotWholeAreNone(t *testing.T) {
	m := &Message{Sender: store.NewToken(), Prefix: ":", Keys: []string{":f:v:-:1", ":f:v:-:23"}}
	whole := string(m.AppendTo(nil)[0])
	for n := range whole {
		if got, ok := DecodeMessage([]byte(whole[:n])); ok {
			t.Errorf("the first %d bytes count as %+v", n, got)
		}
	}
	long := strings.Repeat("0", 32) + " : " + strings.Repeat("k", store.MaxMessage)
	for _, b := range []string{
		fmt.Sprintf("memo1 %d %s", len(long), long), whole + " ", whole + " :k", strings.Replace(whole, "memo1", "memo2", 1),
		"memo1 32 " + strings.Repeat("0", 32), "memo1 34 " + strings.Repeat("0", 32) + " :",
		"memo1 34 " + strings.Repeat("0", 30) + " : :", "memo1 36 " + strings.Repeat("0", 32) + "  :x",
		"memo1 36 " + strings.Repeat("x", 32) + " : x", "memo1 -1 ", "memo1 99999999999999999999 x",
	} {
		if got, ok := DecodeMessage([]byte(b)); ok {
			t.Errorf("%q counts as %+v", b, got)
		}
	}
}

func FuzzDecodeMessage(f *testing.F) {
	m := &Message{Sender: store.NewToken(), Prefix: "p:", Keys: []string{"p:a", "p:b"}}
	f.Add(m.AppendTo(nil)[0])
	f.Add([]byte("memo1 36 " + strings.Repeat("0", 32) + " : x"))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, ok := DecodeMessage(b)
		if !ok {
			return
		}
		all := m.AppendTo(nil)
		if len(all) != 1 {
			t.Fatalf("%q is a message that is sent as %d", b, len(all))
		}
		if again, ok := DecodeMessage(all[0]); !ok || !cmp.Equal(m, again) {
			t.Fatalf("%q is %+v, and then %+v, %t", b, m, again, ok)
		}
	})
}
