package codec

import (
	"bytes"
	"encoding/gob"
	"errors"
	"fmt"
	"reflect"

	"github.com/seed-0226adef/memo/internal/trial"
)

// gobCodec is encoding/gob, with a byte in front for what that cannot say of
// the outermost value. Gob has a guard in front of it.
type gobCodec struct{}

func (gobCodec) Name() string { return "gob" }

// Text methods do not count: gob leaves them out on purpose
// (golang.org/issue/6760).
var gobRules = trial.Rules{
	Methods: []trial.Method{trial.Gob, trial.Binary},
	Refuse:  func(t reflect.Type) string { return refuseMessage("gob", t) },
}

// What a gob cannot say about the outermost value is said by a byte in front:
// a gob holds no nil, and reads an empty slice back as nil and a nil map as an
// empty one.
const (
	gobNil   = 0 // a nil pointer, slice, map or interface; nothing follows
	gobValue = 1 // a gob follows
	gobEmpty = 2 // a slice of no elements that is not nil; nothing follows
)

func (gobCodec) Append(dst []byte, v any) ([]byte, error) {
	value := reflect.ValueOf(v).Elem()
	switch header := gobHeader(value); header {
	case gobNil, gobEmpty:
		return append(dst, header), nil
	}
	for p := value; p.Kind() == reflect.Pointer; p = p.Elem() {
		if p.IsNil() {
			return dst, errors.New("memo: codec: gob: value is a pointer to a nil pointer, which gob cannot hold; use another codec")
		}
	}
	// An encoder describes each type once, to one reader. Every value here is
	// read on its own, so each needs an encoder that has not yet described any.
	w := appendTo{append(dst, gobValue)}
	if err := gob.NewEncoder(&w).Encode(innermost(value)); err != nil {
		return dst, fmt.Errorf("memo: codec: gob: %w", err)
	}
	return w.b, nil
}

func gobHeader(v reflect.Value) byte {
	switch v.Kind() {
	case reflect.Pointer, reflect.Map, reflect.Interface, reflect.Slice:
		if v.IsNil() {
			return gobNil
		}
	}
	if v.Kind() == reflect.Slice && v.Len() == 0 && gobPlain(v.Type()) {
		return gobEmpty
	}
	return gobValue
}

// gobPlain reports whether the type does not write itself.
func gobPlain(t reflect.Type) bool {
	writer, reader := trial.Own(t, gobRules.Methods)
	return writer < 0 && reader < 0
}

func (gobCodec) Decode(data []byte, v any) error {
	if len(data) == 0 {
		return errors.New("memo: codec: gob: there is no data")
	}
	value := reflect.ValueOf(v).Elem()
	header, data := data[0], data[1:]
	switch {
	case header > gobEmpty:
		return fmt.Errorf("memo: codec: gob: the data begins with the unknown byte %#x", header)
	case header != gobValue && len(data) > 0:
		return fmt.Errorf("memo: codec: gob: %d bytes are left over after the value", len(data))
	case header == gobNil:
		return gobSetNil(value)
	case header == gobEmpty:
		if value.Kind() != reflect.Slice {
			return fmt.Errorf("memo: codec: gob: the data is an empty slice, and %s is none", value.Type())
		}
		value.Set(reflect.MakeSlice(value.Type(), 0, 0))
		return nil
	}
	if err := scanGob(data); err != nil {
		return fmt.Errorf("memo: codec: gob: %w", err)
	}
	if err := gob.NewDecoder(bytes.NewReader(data)).Decode(innermost(value)); err != nil {
		return fmt.Errorf("memo: codec: gob: %w", err)
	}
	return nil
}

// innermost returns the last pointer on the way to what v holds, allocating
// where there is none. The bytes are the same; but given a pointer to a pointer
// to a type with GobEncode, encoding/gob follows one pointer too many and panics.
func innermost(v reflect.Value) any {
	for v.Kind() == reflect.Pointer {
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		v = v.Elem()
	}
	return v.Addr().Interface()
}

func gobSetNil(v reflect.Value) error {
	switch v.Kind() {
	case reflect.Pointer, reflect.Map, reflect.Interface, reflect.Slice:
		return nil // it has been set to zero
	}
	return fmt.Errorf("memo: codec: gob: the data is nil, which %s cannot be", v.Type())
}
