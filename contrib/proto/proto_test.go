package memoproto_test

import (
	"bytes"
	"context"
	"math"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/seed-0226adef/memo"
	"github.com/seed-0226adef/memo/codec"
	"github.com/seed-0226adef/memo/codec/codectest"
	memoproto "github.com/seed-0226adef/memo/contrib/proto"
	"github.com/seed-0226adef/memo/store/memstore"
)

func TestContract(t *testing.T) { codectest.Run(t, memoproto.Codec) }

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// unknown returns m with unknown fields of these numbers.
func unknown[M proto.Message](m M, numbers ...protowire.Number) M {
	var raw []byte
	for _, n := range numbers {
		raw = protowire.AppendVarint(protowire.AppendTag(raw, n, protowire.VarintType), uint64(n))
	}
	m.ProtoReflect().SetUnknown(raw)
	return m
}

// old is a message with what proto2 has: presence, defaults, a group, an
// extension range; and a oneof.
var old = func() protoreflect.MessageDescriptor {
	optional, repeated := descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum(), descriptorpb.FieldDescriptorProto_LABEL_REPEATED.Enum()
	file := &descriptorpb.FileDescriptorProto{
		Name: new("old.proto"), Package: new("old"), Syntax: new("proto2"),
		MessageType: []*descriptorpb.DescriptorProto{{
			Name: new("Old"),
			Field: []*descriptorpb.FieldDescriptorProto{
				{Name: new("number"), Number: new(int32(1)), Label: optional, Type: descriptorpb.FieldDescriptorProto_TYPE_INT32.Enum(), DefaultValue: new("7")},
				{Name: new("group"), Number: new(int32(2)), Label: optional, Type: descriptorpb.FieldDescriptorProto_TYPE_GROUP.Enum(), TypeName: new(".old.Old.Group")},
				{Name: new("a"), Number: new(int32(3)), Label: optional, Type: descriptorpb.FieldDescriptorProto_TYPE_STRING.Enum(), OneofIndex: new(int32(0))},
				{Name: new("b"), Number: new(int32(4)), Label: optional, Type: descriptorpb.FieldDescriptorProto_TYPE_STRING.Enum(), OneofIndex: new(int32(0))},
				{Name: new("floats"), Number: new(int32(5)), Label: repeated, Type: descriptorpb.FieldDescriptorProto_TYPE_DOUBLE.Enum()},
				{Name: new("bytes"), Number: new(int32(6)), Label: optional, Type: descriptorpb.FieldDescriptorProto_TYPE_BYTES.Enum()},
			},
			OneofDecl:      []*descriptorpb.OneofDescriptorProto{{Name: new("choice")}},
			NestedType:     []*descriptorpb.DescriptorProto{{Name: new("Group"), Field: []*descriptorpb.FieldDescriptorProto{{Name: new("g"), Number: new(int32(1)), Label: optional, Type: descriptorpb.FieldDescriptorProto_TYPE_BOOL.Enum()}}}},
			ExtensionRange: []*descriptorpb.DescriptorProto_ExtensionRange{{Start: new(int32(100)), End: new(int32(200))}},
		}},
		Extension: []*descriptorpb.FieldDescriptorProto{
			{Name: new("extra"), Number: new(int32(100)), Label: optional, Type: descriptorpb.FieldDescriptorProto_TYPE_STRING.Enum(), Extendee: new(".old.Old")},
		},
	}
	return must(protodesc.NewFile(file, nil)).Messages().Get(0)
}()

func oldOf(set func(m protoreflect.Message, field func(string) protoreflect.FieldDescriptor)) proto.Message {
	m := dynamicpb.NewMessage(old)
	set(m, func(name string) protoreflect.FieldDescriptor { return old.Fields().ByName(protoreflect.Name(name)) })
	return m
}

// messages returns messages no two of which are equal, made anew.
func messages() []proto.Message {
	type field = func(string) protoreflect.FieldDescriptor
	extra := dynamicpb.NewExtensionType(old.ParentFile().Extensions().Get(0))
	floats := func(fs ...float64) proto.Message {
		return oldOf(func(m protoreflect.Message, f field) {
			for _, x := range fs {
				m.Mutable(f("floats")).List().Append(protoreflect.ValueOfFloat64(x))
			}
		})
	}
	return []proto.Message{
		&emptypb.Empty{}, unknown(&emptypb.Empty{}, 1), unknown(&emptypb.Empty{}, 2), unknown(&emptypb.Empty{}, 1, 2), unknown(&emptypb.Empty{}, 1, 1),
		&timestamppb.Timestamp{}, &timestamppb.Timestamp{Seconds: 1}, &timestamppb.Timestamp{Nanos: 1}, &timestamppb.Timestamp{Seconds: -1, Nanos: 1},
		&durationpb.Duration{}, &durationpb.Duration{Seconds: 1},
		wrapperspb.String(""), wrapperspb.String("a"), wrapperspb.Bytes([]byte("a")), wrapperspb.Int64(1), wrapperspb.UInt64(1), wrapperspb.Bool(true),
		wrapperspb.Double(0), wrapperspb.Double(math.NaN()), wrapperspb.Double(math.Inf(1)), wrapperspb.Double(math.Copysign(0, -1)),
		&fieldmaskpb.FieldMask{Paths: []string{"a", "bc"}}, &fieldmaskpb.FieldMask{Paths: []string{"ab", "c"}}, &fieldmaskpb.FieldMask{Paths: []string{"ab", "c", ""}},
		structpb.NewNullValue(), structpb.NewStringValue("a"), structpb.NewNumberValue(1), structpb.NewBoolValue(false), &structpb.Value{},
		must(structpb.NewStruct(map[string]any{"a": 1, "b": []any{"c", nil}, "d": map[string]any{"e": true}})),
		must(structpb.NewStruct(map[string]any{"a": 1, "b": []any{"c"}, "d": map[string]any{"e": true}})),
		must(anypb.New(wrapperspb.String("a"))), must(anypb.New(wrapperspb.Bytes([]byte("a")))),
		&descriptorpb.FieldDescriptorProto{}, &descriptorpb.FieldDescriptorProto{Name: new("")}, &descriptorpb.FieldDescriptorProto{Name: new("a")},
		&descriptorpb.FieldDescriptorProto{JsonName: new("a")}, &descriptorpb.FieldDescriptorProto{Number: new(int32(0))},
		&descriptorpb.FieldDescriptorProto{Options: &descriptorpb.FieldOptions{}}, &descriptorpb.FieldDescriptorProto{Options: &descriptorpb.FieldOptions{Packed: new(false)}},
		oldOf(func(protoreflect.Message, field) {}),
		oldOf(func(m protoreflect.Message, f field) { m.Set(f("number"), protoreflect.ValueOfInt32(7)) }),
		oldOf(func(m protoreflect.Message, f field) { m.Set(f("number"), protoreflect.ValueOfInt32(0)) }),
		oldOf(func(m protoreflect.Message, f field) { m.Mutable(f("group")) }),
		oldOf(func(m protoreflect.Message, f field) {
			g := m.Mutable(f("group")).Message()
			g.Set(g.Descriptor().Fields().Get(0), protoreflect.ValueOfBool(false))
		}),
		oldOf(func(m protoreflect.Message, f field) { m.Set(f("a"), protoreflect.ValueOfString("")) }),
		oldOf(func(m protoreflect.Message, f field) { m.Set(f("b"), protoreflect.ValueOfString("")) }),
		oldOf(func(m protoreflect.Message, f field) { m.Set(f("bytes"), protoreflect.ValueOfBytes(nil)) }),
		oldOf(func(m protoreflect.Message, f field) { m.Set(extra.TypeDescriptor(), protoreflect.ValueOfString("")) }),
		oldOf(func(m protoreflect.Message, f field) { m.Set(extra.TypeDescriptor(), protoreflect.ValueOfString("x")) }),
		floats(0), floats(math.NaN()), floats(0, 0), floats(1, 2), floats(2, 1),
	}
}

// What proto.Equal tells apart has keys of its own, and what it calls equal has one.
func TestMessagesShareAKeyExactlyWhenTheyAreEqual(t *testing.T) {
	f := memo.New(func(context.Context, proto.Message) (int, error) { return 0, nil })
	keys := map[string]proto.Message{}
	for _, m := range append(messages(), proto.Message(nil), (*emptypb.Empty)(nil)) {
		key, err := f.Key(m)
		if err != nil {
			t.Fatalf("Key(%T %v) = %v", m, m, err)
		}
		if other, taken := keys[key]; taken {
			t.Errorf("%T %v and %T %v have one key", m, m, other, other)
		}
		keys[key] = m
	}
	all, twins := messages(), messages()
	for i := range all {
		a, b := must(f.Key(all[i])), must(f.Key(twins[i]))
		if !proto.Equal(all[i], twins[i]) || a != b {
			t.Errorf("%T %v has the keys %q and %q", all[i], all[i], a, b)
		}
	}
	for _, same := range [][2]proto.Message{
		{unknown(&emptypb.Empty{}, 1, 2), unknown(&emptypb.Empty{}, 2, 1)},
		{wrapperspb.Double(math.NaN()), wrapperspb.Double(math.Float64frombits(math.Float64bits(math.NaN()) ^ 1))},
		{wrapperspb.Bytes(nil), wrapperspb.Bytes([]byte{})},
		{&structpb.ListValue{}, &structpb.ListValue{Values: []*structpb.Value{}}},
	} {
		if a, b := must(f.Key(same[0])), must(f.Key(same[1])); !proto.Equal(same[0], same[1]) || a != b {
			t.Errorf("%v and %v: equal is %t, keys are %q and %q", same[0], same[1], proto.Equal(same[0], same[1]), a, b)
		}
	}
}

// Maps are ranged over in an order that changes.
func TestKeysOfMapsAreTheSameEveryTime(t *testing.T) {
	f := memo.New(func(context.Context, *structpb.Struct) (int, error) { return 0, nil })
	make := func() *structpb.Struct {
		return must(structpb.NewStruct(map[string]any{"a": 1, "b": 2, "c": 3, "d": map[string]any{"e": 1, "f": 2, "g": 3}}))
	}
	want := must(f.Key(make()))
	for range 100 {
		if got := must(f.Key(make())); got != want {
			t.Fatalf("Key = %q, and then %q", want, got)
		}
	}
}

// Fields of a message that was put together at run time are ranged over in an order
// that changes, too.
func TestKeysOfFieldsAreTheSameEveryTime(t *testing.T) {
	f := memo.New(func(context.Context, proto.Message) (int, error) { return 0, nil })
	make := func() proto.Message {
		return oldOf(func(m protoreflect.Message, field func(string) protoreflect.FieldDescriptor) {
			m.Set(field("number"), protoreflect.ValueOfInt32(1))
			m.Mutable(field("group"))
			m.Set(field("a"), protoreflect.ValueOfString("x"))
			m.Set(field("bytes"), protoreflect.ValueOfBytes([]byte("y")))
		})
	}
	want := must(f.Key(make()))
	for range 100 {
		if got := must(f.Key(make())); got != want {
			t.Fatalf("Key = %q, and then %q", want, got)
		}
	}
}

// A caller that has left may use its message for something else while fn still runs
// for those who wait.
func TestExecutionReadsTheMessageItsCallWasMadeWith(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		type query struct{ At []*timestamppb.Timestamp }
		f := memo.New(func(_ context.Context, q query) (int64, error) {
			<-release
			return q.At[0].Seconds, nil
		})
		ctx, leave := context.WithCancel(t.Context())
		mine := &timestamppb.Timestamp{Seconds: 5}
		left := make(chan struct{})
		go func() {
			defer close(left)
			f.Call(ctx, query{[]*timestamppb.Timestamp{mine}})
		}()
		synctest.Wait()
		go func() {
			got, err := f.Call(t.Context(), query{[]*timestamppb.Timestamp{{Seconds: 5}}})
			if got != 5 || err != nil {
				t.Errorf("Call = %d, %v, want 5", got, err)
			}
		}()
		synctest.Wait()
		leave()
		<-left
		mine.Seconds = 9
		close(release)
		synctest.Wait()
	})
}

type request struct {
	Name  string
	At    *timestamppb.Timestamp
	Names []*wrapperspb.StringValue
	By    map[string]*durationpb.Duration
	Any   proto.Message
}

func newRequest() request {
	return request{
		Name: "n", At: &timestamppb.Timestamp{Seconds: 5}, Names: []*wrapperspb.StringValue{wrapperspb.String("a"), nil, {}},
		By: map[string]*durationpb.Duration{"x": {Seconds: 1}}, Any: must(structpb.NewStruct(map[string]any{"a": 1.5})),
	}
}

func TestMessagesMayBeAnywhereInAnArgument(t *testing.T) {
	f := memo.New(func(context.Context, request) (int, error) { return 0, nil })
	want := must(f.Key(newRequest()))
	if got := must(f.Key(newRequest())); got != want {
		t.Errorf("equal requests have the keys %q and %q", want, got)
	}
	for what, change := range map[string]func(*request){
		"At":    func(r *request) { r.At.Nanos = 1 },
		"Names": func(r *request) { r.Names[1] = &wrapperspb.StringValue{} },
		"By":    func(r *request) { r.By["x"].Nanos = 1 },
		"Any":   func(r *request) { r.Any = nil },
	} {
		r := newRequest()
		change(&r)
		if must(f.Key(r)) == want {
			t.Errorf("another %s has the same key", what)
		}
	}
}

func TestMessageThatContainsItselfHasNoKey(t *testing.T) {
	v := &structpb.Value{}
	v.Kind = &structpb.Value_ListValue{ListValue: &structpb.ListValue{Values: []*structpb.Value{v}}}
	f := memo.New(func(context.Context, *structpb.Value) (int, error) { return 0, nil })
	if _, err := f.Key(v); err == nil {
		t.Error("Key gave no error")
	}
	if _, err := memoproto.Codec.Append(nil, &v); err == nil {
		t.Error("Append gave no error")
	}
}

// shared calls fn through two processes on one store, and returns what the
// second one got.
func shared[R any](t *testing.T, want R, opts ...memo.Option) R {
	t.Helper()
	s := memstore.New(nil)
	var runs atomic.Int64
	fn := func(context.Context, string) (R, error) { runs.Add(1); return want, nil }
	opts = append(opts, memo.Store(s), memo.Name("f"), memo.SharedName())
	first, second := memo.New(fn, opts...), memo.New(fn, opts...)
	if _, err := first.Call(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	got, err := second.Call(t.Context(), "a")
	if err != nil || runs.Load() != 1 {
		t.Errorf("%T: %d executions, %v; want one", want, runs.Load(), err)
	}
	return got
}

func TestMessagesAreResults(t *testing.T) {
	opt := memo.Codec(memoproto.Codec)
	at := unknown(&timestamppb.Timestamp{Seconds: 5, Nanos: 6}, 1000)
	if got := shared(t, at, opt); !proto.Equal(got, at) {
		t.Errorf("%v came back as %v", at, got)
	}
	if got := shared(t, (*timestamppb.Timestamp)(nil), opt); got != nil {
		t.Errorf("nil came back as %v", got)
	}
	d := &descriptorpb.FieldDescriptorProto{Name: new(""), Options: &descriptorpb.FieldOptions{Packed: new(false)}}
	if got := shared(t, d, opt); !proto.Equal(got, d) {
		t.Errorf("%v came back as %v", d, got)
	}
	if diff := cmp.Diff(newRequest(), shared(t, newRequest(), opt), protocmp.Transform()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	list := []*anypb.Any{must(anypb.New(at)), nil}
	if diff := cmp.Diff(list, shared(t, list, opt), protocmp.Transform()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// Without a store nothing is written, and no codec is needed.
func TestMessagesAreResultsInAProcessWithoutACodec(t *testing.T) {
	f := memo.New(func(_ context.Context, at *timestamppb.Timestamp) (*timestamppb.Timestamp, error) { return at, nil })
	if got, err := f.Call(t.Context(), &timestamppb.Timestamp{Seconds: 5}); got.GetSeconds() != 5 || err != nil {
		t.Errorf("Call = %v, %v", got, err)
	}
}

// The codecs that come with memo would lose parts of a message, and say what
// to do instead.
func TestOtherCodecsNameThisPackage(t *testing.T) {
	for _, c := range []codec.Codec{codec.JSON, codec.MsgPack, codec.Gob} {
		for _, typ := range []reflect.Type{reflect.TypeFor[*timestamppb.Timestamp](), reflect.TypeFor[request](), reflect.TypeFor[map[string][]timestamppb.Timestamp]()} {
			err := codec.Check(c, typ)
			if err == nil || !strings.Contains(err.Error(), "import github.com/seed-0226adef/memo/contrib/proto") {
				t.Errorf("Check(%s, %s) = %v", c.Name(), typ, err)
			}
		}
		var held any = &timestamppb.Timestamp{}
		if _, err := c.Append(nil, &held); err == nil || !strings.Contains(err.Error(), "contrib/proto") {
			t.Errorf("%s: Append of a message in an interface = %v", c.Name(), err)
		}
	}
}

// A careless codec writes messages by their fields, and loses unknown ones.
type careless struct{ codec.Codec }

func (careless) Append(dst []byte, v any) ([]byte, error) {
	m := proto.Clone(*v.(**structpb.Value))
	m.ProtoReflect().SetUnknown(nil)
	b, err := proto.Marshal(m)
	return append(dst, b...), err
}

func (careless) Decode(data []byte, v any) error {
	p := v.(**structpb.Value)
	*p = new(structpb.Value)
	return proto.Unmarshal(data, *p)
}

// Messages are tried with all their fields, as other values are.
func TestCodecsThatLosePartsOfMessagesAreRefused(t *testing.T) {
	if err := codec.Check(careless{codec.JSON}, reflect.TypeFor[*structpb.Value]()); err == nil {
		t.Error("Check = nil")
	}
	if err := codec.Check(memoproto.Codec, reflect.TypeFor[*structpb.Value]()); err != nil {
		t.Errorf("Check = %v", err)
	}
}

func TestCodecRefusesWhatItWouldLose(t *testing.T) {
	type secret struct {
		At *timestamppb.Timestamp
		n  int
	}
	type stamped struct {
		*timestamppb.Timestamp
		Note string
	}
	for _, typ := range []reflect.Type{reflect.TypeFor[secret](), reflect.TypeFor[chan int](), reflect.TypeFor[func()]()} {
		if codec.Check(memoproto.Codec, typ) == nil {
			t.Errorf("Check(%s) = nil", typ)
		}
	}
	want := stamped{&timestamppb.Timestamp{Seconds: 5}, "n"}
	if got := shared(t, want, memo.Codec(memoproto.Codec)); got.Note != "n" || got.Seconds != 5 {
		t.Errorf("a struct that embeds a message came back as %v", got)
	}
	var held any = stamped{}
	if _, err := memoproto.Codec.Append(nil, &held); err == nil {
		t.Error("Append of a struct in an interface gave no error")
	}
	_ = secret{n: 1}
}

func FuzzDecode(f *testing.F) {
	r := newRequest()
	data := must(memoproto.Codec.Append(nil, &r))
	f.Add(data)
	f.Add(bytes.Repeat([]byte{0xff}, 20))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, v := range []any{new(request), new([]request), new(map[string]int), new([]struct{}), new(time.Time), new([]byte), new(proto.Message), new(**[]int)} {
			before := bytes.Clone(data)
			if err := memoproto.Codec.Decode(data, v); err == nil {
				if _, err := memoproto.Codec.Append(nil, v); err != nil {
					t.Errorf("%T was read from %q, and cannot be written: %v", v, data, err)
				}
			}
			if !bytes.Equal(data, before) {
				t.Error("Decode changed its input")
			}
		}
	})
}
