package tags

// What has expired is no longer fresh, and of use as long as its stale windows last. An execution
// that began before an expiry counts as overtaken, as by an invalidation.

// An expiry is one of them: the sequence number that it took, and when it was.
type expiry struct {
	seq uint64
	at  int64
}

// expiries are the last ones of a namespace or a tag, from the oldest on.
type expiries []expiry

// maxExpiries bounds how many are remembered of each.
const maxExpiries = 16

// add adds one. It returns the sequence number of the one that was forgotten for it, zero if
// none was: what is older than that counts as invalidated.
func (x *expiries) add(e expiry) (forgotten uint64) {
	if len(*x) == maxExpiries {
		forgotten = (*x)[0].seq
		*x = append(expiries(nil), (*x)[1:]...)
	}
	*x = append(*x, e)
	return forgotten
}

// first returns when the first expiry was after the number born was taken.
func (x expiries) first(born uint64) (at int64, ok bool) {
	for _, e := range x {
		if e.seq > born {
			return e.at, true
		}
	}
	return 0, false
}

// Expire expires everything in the namespace and below it, at that instant.
func (n *Namespace) Expire(at int64) {
	NextSequence(func(seq uint64) { n.noteExpiry(expiry{seq, at}) })
}

func (n *Namespace) noteExpiry(e expiry) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if forgotten := n.expired.add(e); forgotten > n.cleared.Load() {
		n.cleared.Store(forgotten)
	}
	n.ended.Store(e.seq)
	for _, c := range n.children {
		c.noteExpiry(e)
	}
}

// ExpireTags expires what carries any of the tags, here and below, at that instant.
func (n *Namespace) ExpireTags(tags []string, at int64) {
	NextSequence(func(seq uint64) { n.noteExpiryOf(tags, expiry{seq, at}) })
}

func (n *Namespace) noteExpiryOf(tags []string, e expiry) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.makeRoom(len(tags), e.seq) {
		for _, t := range tags {
			n.expireTag(t, e)
		}
	}
	for _, c := range n.children {
		c.noteExpiryOf(tags, e)
	}
}

// expireTag notes the expiry of a tag. The caller holds mu.
func (n *Namespace) expireTag(tag string, e expiry) {
	if n.marked == nil {
		n.marked = map[string]expiries{}
	}
	x := n.marked[tag]
	if forgotten := x.add(e); forgotten > n.tags[tag] {
		if n.tags == nil {
			n.tags = map[string]uint64{}
		}
		n.tags[tag] = forgotten
	}
	n.marked[tag] = x
}

// Expired returns when the first thing expired that a result in the namespace with these tags
// belongs to, after the number born was taken.
func (n *Namespace) Expired(born uint64, of []Tag) (at int64, ok bool) {
	if n.ended.Load() > born {
		at, ok = n.firstExpiry(born)
	}
	for _, t := range of {
		if first, expired := t.Space.firstExpiryOf(t.Name, born); expired && (!ok || first < at) {
			at, ok = first, true
		}
	}
	return at, ok
}

func (n *Namespace) firstExpiry(born uint64) (at int64, ok bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.expired.first(born)
}

func (n *Namespace) firstExpiryOf(tag string, born uint64) (at int64, ok bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.marked[tag].first(born)
}
