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
// Most losses show in the type. [Check] finds them when the program starts and
// names the field:
//
//	field Profile.secret (string) is unexported, and json does not write it; …
//
// The others depend on the value: what is in an interface, where a pointer
// leads. Append finds them, and names the place:
//
//	codec: json: value at Items[3].Extra holds int in an interface, which would come back as float64; …
//
// What this costs is kept small. A type is looked into once; values are walked
// only along fields whose type leaves a question open, and most types have
// none.
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
//   - What types that write themselves leave out is theirs to answer for, as
//     are omitempty, omitzero and memo:"-".
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
