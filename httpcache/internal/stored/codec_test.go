package stored

import (
	"bytes"
	"encoding/binary"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/seed-0226adef/memo/codec"
)

var someRecords = []*Record{
	{Kind: Pass},
	{Kind: Index, Names: []string{"Accept", "Foo"}, Generation: "abc"},
	{Kind: Response, Status: 204, Header: http.Header{"Date": {"x"}}, Body: []byte{}},
	{Kind: Response, Status: 200, Header: http.Header{"A": {"1", ""}, "B": {"\x00\xff"}}, Body: []byte("hello"), Trailer: http.Header{"T": {"t"}},
		Born: -1, Life: 1 << 60, Made: 1 << 62, Targets: []string{"CDN-Cache-Control"}, Shared: true, OwnETag: true, Given: true},
}

var sameRecord = cmp.Options{cmpopts.IgnoreUnexported(Record{})}

func TestRecordsSurviveTheirCodec(t *testing.T) {
	for _, want := range someRecords {
		data, err := Codec{}.Append([]byte("before"), &want)
		if err != nil || !bytes.HasPrefix(data, []byte("before")) {
			t.Fatalf("Append: %q, %v", data, err)
		}
		var got *Record
		if err := (Codec{}).Decode(data[len("before"):], &got); err != nil {
			t.Fatalf("Decode: %v", err)
		}
		if diff := cmp.Diff(want, got, sameRecord); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	}
}

func TestADecodedRecordSharesNothingWithItsBytes(t *testing.T) {
	data, _ := Codec{}.Append(nil, &someRecords[3])
	var got *Record
	if err := (Codec{}).Decode(data, &got); err != nil {
		t.Fatal(err)
	}
	clear(data)
	if diff := cmp.Diff(someRecords[3], got, sameRecord); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// 1<<32 + 200 was the status 200 where an int has 32 bits.
func TestStatusIsComparedBeforeItIsAnInt(t *testing.T) {
	data, _ := Codec{}.Append(nil, &someRecords[3])
	forged := bytes.Replace(data, binary.AppendUvarint(nil, 200), binary.AppendUvarint(nil, 1<<32+200), 1)
	var got *Record
	if err := (Codec{}).Decode(forged, &got); err == nil {
		t.Errorf("it is a record: %+v", got)
	}
}

func TestBytesThatEndEarlyAreNoRecord(t *testing.T) {
	data, _ := Codec{}.Append(nil, &someRecords[1])
	for n := range data {
		var got *Record
		if err := (Codec{}).Decode(data[:n], &got); err == nil {
			t.Errorf("%d of %d bytes are a record: %+v", n, len(data), got)
		}
	}
}

func TestTheOtherCodecsHoldRecordsToo(t *testing.T) {
	for _, c := range []codec.Codec{codec.JSON, codec.MsgPack, codec.Gob} {
		want := &Record{Kind: Response, Status: 200, Header: http.Header{"A": {"1"}}, Body: []byte{0, 255}, Born: 5, Life: 6, Made: 7}
		data, err := c.Append(nil, &want)
		if err != nil {
			t.Fatalf("%s: %v", c.Name(), err)
		}
		var got *Record
		if err := c.Decode(data, &got); err != nil {
			t.Fatalf("%s: %v", c.Name(), err)
		}
		if diff := cmp.Diff(want, got, sameRecord, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", c.Name(), diff)
		}
	}
}

func FuzzDecodeRecord(f *testing.F) {
	for _, r := range someRecords {
		data, _ := Codec{}.Append(nil, &r)
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var r *Record
		if (Codec{}).Decode(data, &r) != nil {
			return
		}
		again, err := Codec{}.Append(nil, &r)
		if err != nil {
			t.Fatal(err)
		}
		var same *Record
		if err := (Codec{}).Decode(again, &same); err != nil {
			t.Fatalf("what was decoded does not survive: %v", err)
		}
		if diff := cmp.Diff(r, same, sameRecord, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
		if r.Kind == Response {
			r.Derived()
		}
	})
}
