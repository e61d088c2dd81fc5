package memoproto_test

import (
	"context"
	"fmt"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/seed-0226adef/memo"
	memoproto "github.com/seed-0226adef/memo/contrib/proto"
	"github.com/seed-0226adef/memo/store/memstore"
)

func Example() {
	type query struct {
		From *timestamppb.Timestamp
		For  *durationpb.Duration
	}
	end := memo.Wrap(func(_ context.Context, q query) (*timestamppb.Timestamp, error) {
		fmt.Println("executed")
		return timestamppb.New(q.From.AsTime().Add(q.For.AsDuration())), nil
	}, memo.Name("end"), memo.Store(memstore.New(nil)), memo.Codec(memoproto.Codec))

	for range 2 {
		// Two requests are never the same messages, but these are equal.
		at, err := end(context.Background(), query{&timestamppb.Timestamp{Seconds: 60}, &durationpb.Duration{Seconds: 5}})
		fmt.Println(at.GetSeconds(), err)
	}
	// Output:
	// executed
	// 65 <nil>
	// 65 <nil>
}
