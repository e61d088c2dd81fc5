package keys

import (
	"context"
	"encoding"
	"encoding/binary"
	"fmt"
	"reflect"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/seed-0226adef/memo/internal/messages"
)

// A Plan says how values of one type become canonical bytes. It is compiled
// once per type and never changes afterwards.
type Plan struct {
	Op     operation
	typ    reflect.Type
	elem   *Plan       // of a pointer, slice, array or map
	key    *Plan       // of a map
	fields []planField // of a struct
	length int         // of an array
	stride uintptr     // from one element to the next
	rule   keyRule     // of a type that has one

	// Block is how many bytes of memory are their own canonical form, if all of
	// the type's are; otherwise 0.
	Block int
}

type planField struct {
	name   string
	offset uintptr
	plan   *Plan
}

type operation uint8

const (
	opNothing operation = iota // the type has one value
	op8
	op16
	op32
	op64
	opInt  // 64 bits in the key on every platform
	opUint // likewise
	opFloat32
	opFloat64
	OpString
	opTime
	opStruct
	opArray
	opNilable // a pointer that has the method of its elem's operation itself
	opPointer
	opSlice
	opMap
	opInterface
	opRule
	opKeyer
	opText
	opMessage
)

// namesItself is memo.Keyer.
type namesItself interface{ MemoKey() string }

var (
	keyerType   = reflect.TypeFor[namesItself]()
	textType    = reflect.TypeFor[encoding.TextMarshaler]()
	ContextType = reflect.TypeFor[context.Context]()
	LockerType  = reflect.TypeFor[sync.Locker]()
)

// plans holds what planOf found: *plan or error by reflect.Type.
var plans sync.Map

// For returns the plan of t, or an error that leads to the part of t that
// cannot be a key.
func For(t reflect.Type) (*Plan, error) {
	if found, ok := plans.Load(t); ok {
		pl, _ := found.(*Plan)
		err, _ := found.(error)
		return pl, err
	}
	c := compiler{seen: map[reflect.Type]*Plan{}}
	pl, err := c.compile(t)
	if err != nil {
		plans.Store(t, err)
		return nil, err
	}
	plans.Store(t, pl)
	return pl, nil
}

// A compiler makes the plans of one type and of all that it contains.
type compiler struct {
	seen map[reflect.Type]*Plan // filled while compiling, so that recursive types end
}

// errNotKey is why a type cannot be a key.
type errNotKey struct{ typ reflect.Type }

func (e *errNotKey) Error() string {
	return fmt.Sprintf("(%v) cannot be part of a key", e.typ)
}

func (c *compiler) compile(t reflect.Type) (*Plan, error) {
	if pl, ok := c.seen[t]; ok {
		return pl, nil
	}
	pl := &Plan{typ: t}
	c.seen[t] = pl
	if err := c.fill(pl, t); err != nil {
		if ofOthers(t) {
			err = &errNotKey{t}
		}
		return nil, err
	}
	pl.Block = pl.plain()
	return pl, nil
}

// plain returns the size of the type's values if these are integers and nothing
// else, without gaps, and stand in memory as they do in a key.
func (pl *Plan) plain() int {
	if !asInKeys {
		return 0
	}
	size := 0
	switch pl.Op {
	case op8, op16, op32, op64, opInt, opUint:
		return int(pl.typ.Size())
	case opArray:
		size = pl.elem.Block * pl.length
	case opStruct:
		for _, f := range pl.fields {
			if f.plan.Block == 0 || int(f.offset) != size {
				return 0
			}
			size += f.plan.Block
		}
	}
	if size != int(pl.typ.Size()) {
		return 0
	}
	return size
}

// asInKeys says that this machine writes integers as keys do: the lowest byte
// first, and int in eight bytes.
var asInKeys = strconv.IntSize == 64 && binary.NativeEndian.Uint16([]byte{1, 0}) == 1

// fill decides in this order: what the type says of itself, what can never be
// part of a key, and last how the type is made.
func (c *compiler) fill(pl *Plan, t reflect.Type) error {
	switch {
	case t == timeType:
		pl.Op = opTime
		return nil
	case IsPointer(t) && Honours(t.Elem(), keyerType):
		fillNilable(pl, opKeyer)
		return nil
	case t.Kind() != reflect.Interface && Honours(t, keyerType):
		pl.Op = opKeyer
		return nil
	case IsPointer(t) && messages.Is(t.Elem()):
		fillNilable(pl, opMessage)
		return messageKeys(t)
	case messages.Is(t):
		pl.Op = opMessage
		return messageKeys(t)
	case refused(t):
		return &errNotKey{t}
	case t == locationType:
		_ = time.Local.String() // whose fields are set when they are first needed
	case keyRules[t] != nil:
		pl.Op, pl.rule = opRule, keyRules[t]
		return nil
	case IsPointer(t) && goesByText(t.Elem()):
		fillNilable(pl, opText)
		return nil
	case t.Kind() != reflect.Interface && t.Kind() != reflect.Pointer && goesByText(t):
		pl.Op = opText
		return nil
	}
	return c.fillKind(pl, t)
}

// messageKeys returns an error unless package contrib/proto is there to make keys of
// protobuf messages: their fields also hold what is none of their content.
func messageKeys(t reflect.Type) error {
	if messages.Supported() == nil {
		return &errMessage{t}
	}
	return nil
}

// errMessage is why a protobuf message cannot be a key yet.
type errMessage struct{ typ reflect.Type }

func (e *errMessage) Error() string {
	return fmt.Sprintf("(%v) is a protobuf message: import %s, and it can be part of a key", e.typ, messages.Path)
}

// fillNilable makes pl, whose type is a pointer that has the method itself, mark
// nil and otherwise call the method on the very pointer.
func fillNilable(pl *Plan, op operation) {
	pl.Op, pl.elem = opNilable, &Plan{Op: op, typ: pl.typ}
}

func (c *compiler) fillKind(pl *Plan, t reflect.Type) (err error) {
	switch t.Kind() {
	case reflect.Bool, reflect.Int8, reflect.Uint8:
		pl.Op = op8
	case reflect.Int16, reflect.Uint16:
		pl.Op = op16
	case reflect.Int32, reflect.Uint32:
		pl.Op = op32
	case reflect.Int64, reflect.Uint64:
		pl.Op = op64
	case reflect.Int:
		pl.Op = opInt
	case reflect.Uint, reflect.Uintptr:
		pl.Op = opUint
	case reflect.Float32:
		pl.Op = opFloat32
	case reflect.Float64:
		pl.Op = opFloat64
	case reflect.Complex64:
		fillComplex(pl, opFloat32, 4)
	case reflect.Complex128:
		fillComplex(pl, opFloat64, 8)
	case reflect.String:
		pl.Op = OpString
	case reflect.Interface:
		pl.Op = opInterface
	case reflect.Struct:
		return c.fillStruct(pl, t)
	case reflect.Array:
		return c.fillArray(pl, t)
	case reflect.Pointer:
		pl.Op = opPointer
		pl.elem, err = c.compile(t.Elem())
		return err
	case reflect.Slice:
		return c.fillSlice(pl, t)
	case reflect.Map:
		return c.fillMap(pl, t)
	default:
		return &errNotKey{t}
	}
	return nil
}

func fillComplex(pl *Plan, op operation, size uintptr) {
	part := &Plan{Op: op}
	pl.Op, pl.fields = opStruct, []planField{{plan: part}, {offset: size, plan: part}}
}

func (c *compiler) fillStruct(pl *Plan, t reflect.Type) error {
	pl.Op = opStruct
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Tag.Get("memo") == "-" || t == locationType && strings.HasPrefix(f.Name, "cache") {
			continue
		}
		inner, err := c.compile(f.Type)
		if err != nil {
			return WithStep(f.Name, err)
		}
		if inner.Op != opNothing {
			pl.fields = append(pl.fields, planField{f.Name, f.Offset, inner})
		}
	}
	if len(pl.fields) == 0 {
		pl.Op = opNothing
	}
	return nil
}

func (c *compiler) fillArray(pl *Plan, t reflect.Type) (err error) {
	pl.Op, pl.length, pl.stride = opArray, t.Len(), t.Elem().Size()
	if pl.length == 0 { // [0]func() is how a struct says that == is not for it
		pl.Op = opNothing
		return nil
	}
	if pl.elem, err = c.compile(t.Elem()); err != nil {
		return WithStep("[]", err)
	}
	if pl.elem.Op == opNothing {
		pl.Op = opNothing
	}
	return nil
}

func (c *compiler) fillSlice(pl *Plan, t reflect.Type) (err error) {
	pl.Op, pl.stride = opSlice, t.Elem().Size()
	if pl.elem, err = c.compile(t.Elem()); err != nil {
		return WithStep("[]", err)
	}
	return nil
}

func (c *compiler) fillMap(pl *Plan, t reflect.Type) (err error) {
	pl.Op = opMap
	if pl.key, err = c.compile(t.Key()); err != nil {
		return WithStep("[key]", err)
	}
	if pl.elem, err = c.compile(t.Elem()); err != nil {
		return WithStep("[]", err)
	}
	return nil
}

// IsPointer reports whether t is *T and no more: a type that is defined as a
// pointer has none of the methods of what it points to.
func IsPointer(t reflect.Type) bool { return t.Kind() == reflect.Pointer && t.Name() == "" }

// Honours reports whether values of t have the one method of want by their own
// declaration. A struct that embeds a time.Time has its MarshalText too, but
// that method knows nothing of the other fields, which would vanish from the
// key; such a struct goes by its fields.
func Honours(t, want reflect.Type) bool {
	if !reflect.PointerTo(t).Implements(want) {
		return false
	}
	m, ok := methodOf(t, want)
	if !ok {
		m, _ = methodOf(reflect.PointerTo(t), want)
	}
	return t.Kind() != reflect.Struct || !promoted(m)
}

// methodOf returns the method of t that makes it a want, if it has that. The names
// are constants, or the linker would have to keep every exported method of the
// program.
func methodOf(t, want reflect.Type) (reflect.Method, bool) {
	switch want {
	case keyerType:
		return t.MethodByName("MemoKey")
	case textType:
		return t.MethodByName("MarshalText")
	}
	return t.MethodByName("Lock")
}

// promoted reports whether the compiler wrote m to reach an embedded field's
// method.
func promoted(m reflect.Method) bool {
	pc := m.Func.Pointer()
	file, _ := runtime.FuncForPC(pc).FileLine(pc)
	return file == "<autogenerated>"
}

// typeNames gives every type that was met inside an interface a name of its
// own. Guarded by its mutex.
var typeNames = struct {
	sync.Mutex
	of    map[reflect.Type]string
	taken map[string]int
}{of: map[reflect.Type]string{}, taken: map[string]int{}}

// typeName returns a name that no other type in this process has and that other
// processes give to the same type too. Two types of one name and shape in one
// package, as functions can declare them, are told apart by the order in which
// they were first seen.
func typeName(t reflect.Type) string {
	typeNames.Lock()
	defer typeNames.Unlock()
	if name, ok := typeNames.of[t]; ok {
		return name
	}
	name := SpellType(t)
	typeNames.taken[name]++
	if n := typeNames.taken[name]; n > 1 {
		name += "·" + strconv.Itoa(n)
	}
	typeNames.of[t] = name
	return name
}

// SpellType writes t with full package paths, and with the shapes of types that
// have a name: another process may have another type of that name, an older
// version of the program or one that met another function's first.
func SpellType(t reflect.Type) string {
	if t.Name() != "" {
		if t.PkgPath() == "" {
			return t.Name()
		}
		return t.PkgPath() + "." + t.Name() + "/" + Fingerprint(t)
	}
	switch t.Kind() {
	case reflect.Pointer:
		return "*" + SpellType(t.Elem())
	case reflect.Slice:
		return "[]" + SpellType(t.Elem())
	case reflect.Array:
		return "[" + strconv.Itoa(t.Len()) + "]" + SpellType(t.Elem())
	case reflect.Map:
		return "map[" + SpellType(t.Key()) + "]" + SpellType(t.Elem())
	case reflect.Struct:
		var b strings.Builder
		for i := range t.NumField() {
			f := t.Field(i)
			fmt.Fprintf(&b, "%s.%s %t %s %q;", f.PkgPath, f.Name, f.Anonymous, SpellType(f.Type), f.Tag)
		}
		return "struct{" + b.String() + "}"
	}
	return t.String()
}
