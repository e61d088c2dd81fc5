package store

import "context"

// A Bus carries messages between the processes that share a [Store], for one that cannot
// notify: each process tells the others which keys it has changed, so that they drop their
// copies at once. It is given with memo.Bus.
//
// A message is a hint. It may be lost, come late, twice or in another order, and it may come
// back to its own sender: nothing is wrong then but that a copy is used for as long as it
// would be without a bus, or dropped without need. So an implementation needs no
// acknowledgements, no storage and no retries. Everybody who can publish can have copies
// dropped, and nothing else.
//
// Both methods are called concurrently. A Bus must be comparable, as pointers are: functions
// whose Bus is the same value share one subscription, and what they publish goes together.
type Bus interface {
	// Publish sends a message to everybody who has subscribed, in this process and others.
	// It returns when the message is on its way, and no later than soon after ctx has
	// ended. An error is logged, and the message is lost.
	//
	// message has at most [MaxMessage] bytes, all of them printable ASCII or spaces. Publish
	// must neither modify it nor retain it when it has returned.
	Publish(ctx context.Context, message []byte) error

	// Subscribe has receive called with each message that is published from now on, until
	// ctx ends. It returns when the subscription is there, with nil, or with an error if
	// there is none; in both cases soon after ctx has ended. After an error it is called
	// again a while later, if it is still needed.
	//
	// A subscription that has lost its connection connects anew by itself, and keeps no
	// goroutine when ctx has ended. What was published meanwhile may be lost.
	//
	// receive may be called from several goroutines at once. It does not block, neither
	// modifies nor retains the message, and takes whatever bytes come. It may be called a
	// little longer than ctx lasts.
	Subscribe(ctx context.Context, receive func(message []byte)) error
}

// MaxMessage is the length in bytes of the longest message that is published on a [Bus].
// PostgreSQL's NOTIFY, of what is in use as a bus, takes the least: less than 8,000.
const MaxMessage = 7_000
