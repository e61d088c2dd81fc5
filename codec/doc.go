// Package codec writes values to bytes and reads them back, for results that
// are kept outside of the process.
//
// # One promise
//
// A cache must not change what a function returns. So the codecs here refuse
// what they would lose: a value that Append accepts comes back from Decode as
// it was. The libraries below them do not promise this. encoding/json drops
// unexported fields, turns an int in an interface into a float64 and replaces
// bytes that are not UTF-8; encoding/gob turns a pointer to zero into nil;
// msgpack changes the types of integers in interfaces; and all of them write a
// struct that embeds a time.Time as that time alone. Each is an error here.
//
// # Two moments
//
// Nothing here knows how a library treats a field. It is tried: [Check] makes
// values of the type (zero, filled, extreme, and those of standard types that
// are known to suffer), writes them, reads them back and compares. It does so
// when the program starts, for any codec, and names the first part that came
// back changed:
//
//	field Profile.secret (string) is unexported, and json does not write it; …
//	field Price (big.Float) would change: 1.5 (prec 53) comes back as 1.5 (prec 64); …
//
// What is in an interface is only known with the value. Its type is tried when
// a value of it is first written, and the error names the place:
//
//	codec: json: value at Items[3].Extra holds int in an interface, which would come back as float64; …
//
// Some values are rare, and most libraries change them: a pointer to nil, a
// string that is not text. They do not refuse the type. If a codec changes them
// in silence, each value of the type is read back before it is kept, and an
// error if it has changed.
//
// What this costs is kept small. A type is tried once, in a few milliseconds at
// most; values are walked only along fields that lead to an interface or back
// to their own type, and most types have none.
//
// # What a trial cannot see
//
//   - A loss that only happens to values of which no sample is like: a codec
//     that cuts strings after 1000 bytes, say.
//   - Values of a type's own methods that it cannot make up. A type that writes
//     itself is filled at random, its unexported fields too, and given texts to
//     read; what its methods refuse, or panic on, proves nothing. If they
//     refuse everything, the type is left to them.
//   - In such a type, a field that comes back from some samples and not from
//     others. It is refused if it comes back from none.
//   - What a type's Equal method calls equal, if the type shows no field.
//   - Parts beyond the first 4000 of one sample.
//
// # What is not promised
//
// Some differences are so rarely meant that an error would be the greater
// evil. They are these, and docs/codecs.md shows them for each codec in a table
// that a test computes:
//
//   - time.Time keeps its instant to the nanosecond and loses its monotonic
//     clock reading. Of the zone, JSON and Gob keep the offset and lose the
//     name; MsgPack loses both, and the time comes back in time.Local. (JSON
//     refuses offsets that are not whole minutes, which it would round.)
//   - Inside of a value, Gob brings an empty slice back as nil, a nil map
//     that is an element as an empty one, and a negative zero in a field as
//     zero. The outermost value is exact. JSON and MsgPack keep nil and empty
//     apart everywhere.
//   - Two pointers to one variable become pointers to two copies, and slices
//     that share an array get one each. A value that contains itself is refused.
//   - omitempty and omitzero are taken at their word: an empty slice comes back
//     nil, and a value whose IsZero says so comes back zero. A field tagged
//     memo:"-" may be lost.
//   - JSON has no NaN and no infinity: writing one is an error.
//
// # Bytes from elsewhere
//
// A shared store may be shared with others, and disks and networks fail. Decode
// returns an error for whatever it cannot read, without panicking and without
// allocating what a forged length asks for. It does not detect every change: a
// digit that was flipped inside of a number is another number.
//
// # Other codecs
//
// Anything with the three methods of [Codec] can be used. Package codectest
// checks an implementation, sentence by sentence.
package codec
