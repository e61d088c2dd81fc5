package valuestest

import (
	"math"
	"math/big"
	"net/netip"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/shopspring/decimal"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// Others are types of other modules that are common in arguments and results.
func Others() []Kind {
	one, two := uuid.MustParse("f47ac10b-58cc-0372-8567-0e02b2c3d479"), uuid.MustParse("f47ac10b-58cc-0372-8567-0e02b2c3d47a")
	return []Kind{
		of(uuid.Nil, one, two),
		of(uuid.NullUUID{}, uuid.NullUUID{UUID: one}, uuid.NullUUID{UUID: two}, uuid.NullUUID{UUID: one, Valid: true}, uuid.NullUUID{Valid: true}),
		of(uuid.UUIDs(nil), uuid.UUIDs{}, uuid.UUIDs{one, two}, uuid.UUIDs{two, one}),
		kindOf(decimals),
		kindOf(func() []decimal.NullDecimal {
			var all []decimal.NullDecimal
			for _, d := range decimals() {
				all = append(all, decimal.NullDecimal{Decimal: d}, decimal.NullDecimal{Decimal: d, Valid: true})
			}
			return all
		}),
		of(pgtype.Text{}, pgtype.Text{String: "a"}, pgtype.Text{Valid: true}, pgtype.Text{String: "a", Valid: true}),
		of(pgtype.Bool{}, pgtype.Bool{Bool: true}, pgtype.Bool{Valid: true}, pgtype.Bool{Bool: true, Valid: true}),
		of(pgtype.Int2{}, pgtype.Int2{Int16: 1}, pgtype.Int2{Int16: 1, Valid: true}),
		of(pgtype.Int4{}, pgtype.Int4{Int32: 1}, pgtype.Int4{Int32: 1, Valid: true}),
		of(pgtype.Int8{}, pgtype.Int8{Int64: 1}, pgtype.Int8{Int64: 1 << 60, Valid: true}),
		of(pgtype.Uint32{}, pgtype.Uint32{Uint32: 1}, pgtype.Uint32{Uint32: 1, Valid: true}),
		of(pgtype.Float4{}, pgtype.Float4{Float32: 1}, pgtype.Float4{Float32: 0.1, Valid: true}),
		of(pgtype.Float8{}, pgtype.Float8{Float64: 1}, pgtype.Float8{Float64: 0.1, Valid: true}),
		of(pgtype.UUID{}, pgtype.UUID{Bytes: one}, pgtype.UUID{Bytes: one, Valid: true}, pgtype.UUID{Bytes: two, Valid: true}),
		kindOf(dates), kindOf(timestamps), kindOf(timestamptzs),
		of(pgtype.Time{}, pgtype.Time{Microseconds: 1}, pgtype.Time{Microseconds: 1, Valid: true}),
		of(pgtype.Interval{}, pgtype.Interval{Days: 1}, pgtype.Interval{Days: 1, Valid: true}, pgtype.Interval{Months: 1, Valid: true},
			pgtype.Interval{Microseconds: 86_400_000_000, Valid: true}),
		kindOf(numerics),
		of(pgtype.Bits{}, pgtype.Bits{Bytes: []byte{1}, Len: 8}, pgtype.Bits{Bytes: []byte{1}, Len: 7, Valid: true}, pgtype.Bits{Bytes: []byte{1}, Len: 8, Valid: true}),
		of(pgtype.Point{}, pgtype.Point{P: pgtype.Vec2{X: 1}}, pgtype.Point{P: pgtype.Vec2{X: 1}, Valid: true}),
		of(pgtype.Box{}, pgtype.Box{P: [2]pgtype.Vec2{{X: 1}}}, pgtype.Box{P: [2]pgtype.Vec2{{X: 1}}, Valid: true}),
		of(pgtype.Circle{}, pgtype.Circle{R: 1}, pgtype.Circle{P: pgtype.Vec2{X: 1}, R: 1, Valid: true}),
		of(pgtype.Line{}, pgtype.Line{A: 1}, pgtype.Line{A: 1, Valid: true}),
		of(pgtype.Lseg{}, pgtype.Lseg{P: [2]pgtype.Vec2{{X: 1}}}, pgtype.Lseg{P: [2]pgtype.Vec2{{X: 1}}, Valid: true}),
		of(pgtype.Polygon{}, pgtype.Polygon{P: []pgtype.Vec2{{X: 1}}, Valid: true}),
		of(pgtype.Path{}, pgtype.Path{P: []pgtype.Vec2{{X: 1}}, Valid: true}, pgtype.Path{P: []pgtype.Vec2{{X: 1}}, Closed: true, Valid: true}),
		of(pgtype.TID{}, pgtype.TID{BlockNumber: 1}, pgtype.TID{BlockNumber: 1, Valid: true}),
		of(pgtype.Hstore(nil), pgtype.Hstore{}, pgtype.Hstore{"a": nil}, pgtype.Hstore{"a": new(string)}),
		of(pgtype.FlatArray[int32](nil), pgtype.FlatArray[int32]{}, pgtype.FlatArray[int32]{1, 2}),
		of(pgtype.Array[pgtype.Text]{}, pgtype.Array[pgtype.Text]{Elements: []pgtype.Text{{String: "a"}}},
			pgtype.Array[pgtype.Text]{Elements: []pgtype.Text{{String: "a"}}, Dims: []pgtype.ArrayDimension{{Length: 1, LowerBound: 1}}, Valid: true}),
		of(pgtype.Range[pgtype.Int4]{}, pgtype.Range[pgtype.Int4]{Lower: pgtype.Int4{Int32: 1, Valid: true}, LowerType: pgtype.Inclusive, UpperType: pgtype.Unbounded, Valid: true},
			pgtype.Range[pgtype.Int4]{Lower: pgtype.Int4{Int32: 1, Valid: true}, LowerType: pgtype.Exclusive, UpperType: pgtype.Unbounded, Valid: true}),
		of(netip.MustParsePrefix("1.2.3.0/24")),

		message(func() []*timestamppb.Timestamp {
			return []*timestamppb.Timestamp{nil, {}, {Seconds: 1}, {Seconds: 1, Nanos: 1}, {Nanos: -1}}
		}),
		message(func() []*durationpb.Duration {
			return []*durationpb.Duration{nil, {}, {Seconds: 1}, {Nanos: 1}, {Seconds: 1, Nanos: -1}}
		}),
		message(func() []*structpb.Struct {
			return []*structpb.Struct{nil, {}, must(structpb.NewStruct(map[string]any{"a": 1.0})), must(structpb.NewStruct(map[string]any{"a": "1", "b": []any{nil}}))}
		}),
		message(func() []*structpb.Value {
			return []*structpb.Value{nil, {}, structpb.NewNullValue(), structpb.NewBoolValue(false), structpb.NewNumberValue(0), structpb.NewStringValue("")}
		}),
		message(func() []*anypb.Any {
			return []*anypb.Any{nil, {}, must(anypb.New(&emptypb.Empty{})), must(anypb.New(wrapperspb.Int64(1))), {TypeUrl: "unknown/type", Value: []byte{1}}}
		}),
		message(func() []*fieldmaskpb.FieldMask {
			return []*fieldmaskpb.FieldMask{nil, {}, {Paths: []string{"a", "b"}}, {Paths: []string{"a,b"}}}
		}),
		message(func() []*emptypb.Empty { return []*emptypb.Empty{nil, {}} }),
		message(func() []*wrapperspb.StringValue {
			return []*wrapperspb.StringValue{nil, {}, wrapperspb.String("a")}
		}),
		message(func() []*wrapperspb.Int64Value {
			return []*wrapperspb.Int64Value{nil, {}, wrapperspb.Int64(1 << 60)}
		}),
		message(func() []*wrapperspb.BoolValue {
			return []*wrapperspb.BoolValue{nil, {}, wrapperspb.Bool(true)}
		}),
		message(func() []*wrapperspb.DoubleValue {
			return []*wrapperspb.DoubleValue{nil, {}, wrapperspb.Double(0.1), wrapperspb.Double(math.NaN()), wrapperspb.Double(math.Inf(1))}
		}),
		message(func() []*wrapperspb.FloatValue {
			return []*wrapperspb.FloatValue{nil, {}, wrapperspb.Float(0.1)}
		}),
		message(func() []*wrapperspb.Int32Value {
			return []*wrapperspb.Int32Value{nil, {}, wrapperspb.Int32(-1)}
		}),
		message(func() []*wrapperspb.UInt32Value {
			return []*wrapperspb.UInt32Value{nil, {}, wrapperspb.UInt32(1)}
		}),
		message(func() []*wrapperspb.UInt64Value {
			return []*wrapperspb.UInt64Value{nil, {}, wrapperspb.UInt64(math.MaxUint64)}
		}),
		message(func() []*structpb.ListValue {
			return []*structpb.ListValue{nil, {}, must(structpb.NewList([]any{1.0, nil, "a"})), must(structpb.NewList([]any{"a", nil, 1.0}))}
		}),
		message(func() []*wrapperspb.BytesValue {
			return []*wrapperspb.BytesValue{nil, {}, wrapperspb.Bytes([]byte{0, 255})}
		}),
	}
}

// message is kindOf for protobuf messages.
func message[T proto.Message](values func() []T) Kind { return kindOf(values) }

func decimals() []decimal.Decimal {
	return []decimal.Decimal{
		{}, decimal.New(0, 1), decimal.New(1, 0), decimal.New(10, -1), decimal.New(-1, 0), decimal.New(15, -1), decimal.New(1, 30),
	}
}

func dates() (all []pgtype.Date) {
	day := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	return []pgtype.Date{{}, {Time: day}, {Time: day, Valid: true}, {InfinityModifier: pgtype.Infinity, Valid: true}, {InfinityModifier: pgtype.NegativeInfinity, Valid: true}}
}

func timestamps() (all []pgtype.Timestamp) {
	at := time.Date(2026, 1, 1, 1, 2, 3, 4000, time.UTC)
	return []pgtype.Timestamp{{}, {Time: at}, {Time: at, Valid: true}, {Time: at.Add(1), Valid: true}, {InfinityModifier: pgtype.Infinity, Valid: true}}
}

func timestamptzs() (all []pgtype.Timestamptz) {
	for _, t := range times() {
		all = append(all, pgtype.Timestamptz{Time: t}, pgtype.Timestamptz{Time: t, Valid: true})
	}
	return append(all, pgtype.Timestamptz{InfinityModifier: pgtype.Infinity, Valid: true})
}

func numerics() []pgtype.Numeric {
	return []pgtype.Numeric{
		{}, {Valid: true, Int: big.NewInt(0)}, {Int: big.NewInt(1), Valid: true}, {Int: big.NewInt(10), Exp: -1, Valid: true},
		{NaN: true, Valid: true}, {InfinityModifier: pgtype.Infinity, Valid: true},
	}
}
