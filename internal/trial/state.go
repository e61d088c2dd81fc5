package trial

import (
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
)

// states returns values of a type that writes itself, the zero value first.
// Many are not possible values of the type: its methods refuse those. Numbers
// are small, because methods count up to them and allocate by them.
func (g *Guard) states(t reflect.Type) []reflect.Value {
	states := []reflect.Value{reflect.Zero(t)}
	switch k := t.Kind(); {
	case reflect.Int <= k && k <= reflect.Float64:
		for n := range 17 {
			states = append(states, reflect.ValueOf(n+1).Convert(t))
		}
	case k == reflect.Bool:
		states = append(states, reflect.ValueOf(true).Convert(t))
	case k == reflect.String:
		for _, s := range append([]string{"text", "Some Text", " x "}, texts...) {
			states = append(states, reflect.ValueOf(s).Convert(t))
		}
	case k == reflect.Struct:
		states = append(states, fieldStates(t)...)
	default:
		states = append(states, filled(t, func(m *maker, v reflect.Value) { m.kind(v) }))
	}
	return append(states, readStates(t)...)
}

func filled(t reflect.Type, fill func(*maker, reflect.Value)) reflect.Value {
	v := reflect.New(t).Elem()
	m := maker{small: true, inside: map[reflect.Type]int{t: 1}}
	fill(&m, v)
	return v
}

// fieldStates returns a struct with all fields, and with each alone or with a
// flag: a type such as sql.NullString holds a value only if its flag is set.
func fieldStates(t reflect.Type) []reflect.Value {
	states := []reflect.Value{filled(t, (*maker).fields)}
	var flags []int
	for i := range t.NumField() {
		if t.Field(i).Type.Kind() == reflect.Bool {
			flags = append(flags, i)
		}
	}
	for i := range t.NumField() {
		for _, flag := range append([]int{i}, flags...) {
			if len(states) < maxStates {
				states = append(states, filled(t, func(m *maker, v reflect.Value) {
					m.made = i
					m.fill(settable(v.Field(i)))
					if flag != i {
						settable(v.Field(flag)).SetBool(true)
					}
				}))
			}
		}
	}
	return states
}

// readStates returns what the type's own methods make of some texts.
func readStates(t reflect.Type) (states []reflect.Value) {
	for _, text := range texts {
		for _, read := range []func(any) error{
			func(v any) error {
				if u, ok := v.(encoding.TextUnmarshaler); ok {
					return u.UnmarshalText([]byte(text))
				}
				return errNone
			},
			func(v any) error {
				if u, ok := v.(json.Unmarshaler); ok {
					return u.UnmarshalJSON([]byte(text))
				}
				return errNone
			},
		} {
			v := reflect.New(t)
			var err error
			if inTime(func() { err = attempt(func() error { return read(v.Interface()) }) }) && err == nil {
				states = append(states, v.Elem())
			}
			if len(states) == maxStates {
				return states
			}
		}
	}
	return states
}

var errNone = fmt.Errorf("the type has no such method")

// attempt is f, with a panic as an error.
func attempt(f func() error) (err error) {
	defer caught("", "", &err)
	return f()
}
