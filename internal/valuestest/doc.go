// Package valuestest tries values of types that programs exchange — those of the
// standard library that have text or JSON methods, and those of uuid, decimal, pgtype
// and protobuf — on memo: as arguments, and as results through each codec. Its test
// writes the table in docs/codecs.md.
//
// It is a module of its own, so that none of these libraries is a dependency of memo.
//
//   - [Kind]: a type, and values of it no two of which are equal
package valuestest
