package fleet

import (
	"context"
	"slices"

	"github.com/seed-0226adef/memo/internal/clock"
	"github.com/seed-0226adef/memo/internal/storeclient"
	"github.com/seed-0226adef/memo/internal/wire"
	"github.com/seed-0226adef/memo/store"
)

// A Seen is what the store was seen to hold under a key.
type Seen struct {
	Value        []byte       // nil if there is nothing
	Record       *wire.Record // nil if that is no entry of the key; otherwise &entry
	entry        wire.Record
	Valid        bool // the epochs that it records are in force or, of a result, have expired
	Expired      bool // one has
	Bad          bool // the store refuses the key: there is nothing, and nothing can be put there
	Dependencies []Dependency
	ExpiredAt    int64  // then: when the first one did
	At           int64  // when the store was asked
	Order        uint64 // and what had been done by then; see sending

	Generation uint64 // of the notifications at that time
	Reports    uint32 // how many reports of the key there had been
}

// See asks the store for what it holds under keys, together with those epochs that
// are needed and not known, by the deadline. It returns nil for a key
// that could not be read, with an error. An epoch that was read before since, which is
// of NextOrder or zero, is not known.
func (s *Collection) See(ctx context.Context, needs []Need, by storeclient.Deadline, since uint64, keys ...string) ([]*Seen, error) {
	n, ask, t := len(keys), keys[:len(keys):len(keys)], clock.Now()
	for _, need := range needs {
		if _, ok := s.epochSince(need.Key, t, since); !ok {
			ask = append(ask, need.Key)
		}
	}
	seen := make([]*Seen, n)
	values, sent, err := s.Read(ctx, by, ask)
	if values == nil {
		return seen, err
	}
	s.NoteEpochs(ask[n:], values[n:], Request{At: sent.At, Order: sent.Order, Reports: sent.Reports[n:], Generation: sent.Generation})
	var unknown error
	for i, value := range values[:n] {
		refused := storeclient.RefusalOf(err, keys[i])
		switch {
		case value == nil && refused != nil:
			s.Report("the store refuses a key; its results stay in this process", "key", keys[i], "error", refused)
			seen[i] = &Seen{Bad: true}
		case value != nil || !storeclient.Concerns(err, keys[i]):
			seen[i] = s.seenAs(keys[i], value, sent, sent.Reports[i])
		default:
			unknown = err
		}
	}
	if failure := s.verify(ctx, by, since, seen); unknown == nil {
		unknown = failure
	}
	return seen, unknown
}

// seenAs makes a Seen of what the store returned for key.
func (s *Collection) seenAs(key string, value []byte, sent Request, reports uint32) *Seen {
	seen := &Seen{Value: value, At: sent.At, Order: sent.Order, Generation: sent.Generation, Reports: reports}
	if value == nil {
		return seen
	}
	if err := seen.entry.Decode(key, value); err != nil {
		s.Report("the store holds something else under a key; it counts as a miss", "key", key)
		return seen
	}
	seen.Record = &seen.entry
	seen.Dependencies, seen.Valid = s.dependenciesOf(seen.Record)
	return seen
}

// verify finds out which of the results and leases record epochs that are in
// force. What it cannot find out about, because the store fails, becomes nil.
func (s *Collection) verify(ctx context.Context, by storeclient.Deadline, since uint64, all []*Seen) error {
	var err error
	absent := map[string]bool{} // those that the store does not have
	for range MaxContradictions {
		doubtful := s.compare(all, since, false)
		if len(doubtful) == 0 {
			return nil
		}
		if doubtful = slices.DeleteFunc(doubtful, func(key string) bool { return absent[key] }); len(doubtful) == 0 {
			break
		}
		var values [][]byte
		var sent Request
		if values, sent, err = s.Read(ctx, by, doubtful); values != nil {
			s.NoteEpochs(doubtful, values, sent)
		}
		if err != nil {
			break
		}
		for i, key := range doubtful {
			_, err := wire.Decode(key, values[i])
			absent[key] = err != nil
		}
	}
	unknown := make(map[string]bool)
	for _, key := range s.compare(all, since, true) {
		unknown[key] = true
	}
	if err == nil || len(unknown) == 0 {
		return nil
	}
	for i, seen := range all {
		if seen != nil && slices.ContainsFunc(seen.Dependencies, func(f Dependency) bool { return unknown[f.Key] }) {
			all[i] = nil
		}
	}
	return err
}

// epochSince is Epoch for one that was not read before since; see NextOrder.
func (s *Collection) epochSince(key string, t int64, since uint64) (Epoch, bool) {
	e, known := s.Epoch(key, t)
	return e, known && e.order >= since
}

// compare compares the epochs that are recorded with those that are known, and
// returns the keys of those that have to be asked for, each once: because they are not
// known, or because what was seen may be newer. The last time, what is not
// known is not in force.
func (s *Collection) compare(all []*Seen, since uint64, last bool) (doubtful []string) {
	t, asked := clock.Now(), map[string]bool{}
	for _, seen := range all {
		if seen == nil || !seen.Valid {
			continue
		}
		for _, f := range seen.Dependencies {
			r, known := s.epochSince(f.Key, t, since)
			switch {
			case known && r.Token == f.Epoch, known && seen.expires(&r, f.Epoch):
			case known && r.At > seen.At:
				seen.Valid = false
			default:
				seen.Valid = seen.Valid && !last
				if (!known || !last) && !asked[f.Key] {
					asked[f.Key] = true
					doubtful = append(doubtful, f.Key)
				}
			}
		}
	}
	return doubtful
}

// expires reports whether what was seen is a result that has expired when e came in the place of
// epoch, which it records. It notes when. A lease that was taken before is no longer good.
func (s *Seen) expires(e *Epoch, epoch store.Token) bool {
	t, ok := e.WhenExpired(epoch)
	if !ok || s.Record.Kind != wire.KindResult {
		return false
	}
	if !s.Expired || t < s.ExpiredAt {
		s.Expired, s.ExpiredAt = true, t
	}
	return true
}

// dependenciesOf returns the epochs that an entry records. It is not ok if one is
// missing that this process wants, or if there are too many or too few.
func (s *Collection) dependenciesOf(e *wire.Record) (dependencies []Dependency, ok bool) {
	if e.Kind != wire.KindResult && e.Kind != wire.KindLease {
		return nil, true
	}
	dependencies = make([]Dependency, 0, len(s.Scope)+2*len(e.Tags))
	for _, scope := range s.Scope {
		epoch, ok := e.EpochOf(scope.path)
		if !ok {
			return nil, false
		}
		dependencies = append(dependencies, Dependency{Keyspace: s.Keyspace, Key: scope.Key, Epoch: epoch})
	}
	if e.Kind == wire.KindResult && !e.HasTags(s.Path, s.Tags) {
		return nil, false
	}
	for i := range e.Tags {
		t := &e.Tags[i]
		needs := s.TagNeeds(t.Path, t.Name)
		if len(needs) != len(t.Epochs) {
			return nil, false
		}
		for j := range needs {
			dependencies = append(dependencies, Dependency{Keyspace: s.Keyspace, Key: needs[j].Key, Epoch: t.Epochs[j], Tag: true})
		}
	}
	return dependencies, true
}
