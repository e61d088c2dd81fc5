// Package keys turns arguments into keys: the canonical form that tells the arguments of a
// function apart, and the text under which a shared store has a result.
//
//   - A Plan says how values of one type become canonical bytes; For compiles it. Two
//     values have the same form exactly when they are deeply equal.
//   - A Buffer is where a form is built, on the caller's stack.
//   - A Copier copies what a form covers of an argument; CopierOf compiles it.
//   - A PathError leads to the part of an argument that cannot be a key.
//   - Prefix, Head and Plan.AppendArgs make the parts of a shared key; Fingerprint and
//     ArgsShape tell the shapes of types apart.
//
// The package knows values and types. It knows nothing of functions, results or stores.
package keys
