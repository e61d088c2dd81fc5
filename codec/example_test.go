package codec_test

import (
	"encoding/gob"
	"fmt"
	"reflect"
	"time"

	"github.com/seed-0226adef/memo/codec"
)

type Profile struct {
	Name   string
	secret string
}

type User struct {
	ID      int
	Profile Profile
}

func ExampleCheck() {
	fmt.Println(codec.Check(codec.JSON, reflect.TypeFor[User]()))
	// Output:
	// field Profile.secret (string) is unexported, and json does not write it; export it, tag it memo:"-" or use another codec
}

func ExampleCodec() {
	type city struct {
		Name  string
		Since time.Time
	}
	rome := city{"Rome", time.Date(-753, 4, 21, 0, 0, 0, 0, time.UTC)}

	_, err := codec.JSON.Append(nil, &rome)
	fmt.Println(err != nil) // JSON has no year before 0

	data, err := codec.MsgPack.Append(nil, &rome)
	if err != nil {
		fmt.Println(err)
		return
	}
	var back city
	if err := codec.MsgPack.Decode(data, &back); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(back.Name, back.Since.UTC().Year())
	// Output:
	// true
	// Rome -753
}

func ExampleJSON() {
	type item struct {
		Name  string         `json:"name"`
		Extra map[string]any `json:"extra,omitempty"`
	}
	data, err := codec.JSON.Append([]byte("value: "), &item{Name: "<b>"})
	fmt.Println(string(data), err)

	_, err = codec.JSON.Append(nil, &item{Extra: map[string]any{"count": 5}})
	fmt.Println(err)
	// Output:
	// value: {"name":"<b>"} <nil>
	// memo: codec: json: value at Extra["count"] holds int in an interface, which would come back as float64; use a concrete type or another codec
}

func ExampleMsgPack() {
	type cell struct{ Row, Column int }
	grid := map[cell]string{{1, 2}: "\xff"} // neither this key nor this value is possible in JSON

	data, err := codec.MsgPack.Append(nil, &grid)
	if err != nil {
		fmt.Println(err)
		return
	}
	var back map[cell]string
	err = codec.MsgPack.Decode(data, &back)
	fmt.Printf("%d bytes, %q, %v\n", len(data), back[cell{1, 2}], err)
	// Output:
	// 17 bytes, "\xff", <nil>
}

type Shape interface{ Area() float64 }

type Square struct{ Side float64 }

func (s Square) Area() float64 { return s.Side * s.Side }

func ExampleGob() {
	gob.Register(Square{})
	shapes := []Shape{Square{2}, Square{3}}

	data, err := codec.Gob.Append(nil, &shapes)
	if err != nil {
		fmt.Println(err)
		return
	}
	var back []Shape
	err = codec.Gob.Decode(data, &back)
	fmt.Println(back[1].Area(), err)
	// Output:
	// 9 <nil>
}
