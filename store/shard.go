package store

// A Sharder is a [Store] whose keys are spread over servers that fail by themselves.
// Callers use [Shard].
type Sharder interface {
	Store

	// Shard names the server that has key, as far as that is known without asking
	// anybody. See [Shard].
	Shard(key string) string
}

// Shard returns a name for the part of s in which key lies and which fails by itself,
// such as the address of one of several servers: what fails there says nothing about
// keys in other parts. It is empty if s is one part, or the part is not known.
//
// Shard does not wait for anything, and may be called with any key. The name of a key may
// change, for instance when another server takes over; memo remembers each name that it has met. If s implements [Sharder], Shard calls s.Shard.
func Shard(s Store, key string) string {
	if s, ok := s.(Sharder); ok {
		return s.Shard(key)
	}
	return ""
}
