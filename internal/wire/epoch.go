package wire

import (
	"math"
	"slices"
	"time"

	"github.com/seed-0226adef/memo/internal/clock"
	"github.com/seed-0226adef/memo/store"
)

// NewEpoch draws an epoch.
func NewEpoch(m Mark) *Record {
	return &Record{Token: store.NewToken(), Kind: KindEpoch, Epoch: store.NewToken(), Mark: m, Life: minEpochLife}
}

// Successor returns a new epoch in the place of s, which may be nil. It has the life of
// s, which the next results are likely to need, unless that had no end.
func (s *Record) Successor(m Mark) *Record {
	next := NewEpoch(m)
	if s != nil {
		next.Life, next.Versions = max(s.Life, minEpochLife), s.formerVersions()
	}
	return next
}

// A FormerEpoch is one whose results have expired, and not been invalidated: they are of use
// as long as their stale windows last.
type FormerEpoch struct {
	Epoch   store.Token
	Expired int64 // Unix time in nanoseconds, by the clock of who has done that
}

// maxFormer bounds how many former epochs are listed. The results of an older one are
// invalid.
const maxFormer = 16

// Expiring returns a new epoch in the place of s, which may be nil, that lists s's as a
// former one.
func (s *Record) Expiring(m Mark) *Record {
	next := s.Successor(m)
	if s != nil {
		former := s.Former[max(len(s.Former)-maxFormer+1, 0):]
		next.Former = append(slices.Clone(former), FormerEpoch{s.Epoch, time.Now().UnixNano()})
	}
	return next
}

// WhenExpired returns when the results of epoch expired, if that is among the former ones, by
// the clock of who has done that.
func WhenExpired(former []FormerEpoch, epoch store.Token) (unix int64, ok bool) {
	i := slices.IndexFunc(former, func(f FormerEpoch) bool { return f.Epoch == epoch })
	if i < 0 {
		return 0, false
	}
	return former[i].Expired, true
}

// Follows reports whether an epoch with the mark m was drawn when, or after, one with
// the mark other was.
func (m Mark) Follows(other Mark) bool {
	return m.Generation == other.Generation && m.Count >= other.Count
}

// An epoch lives in the store for longer than every result that records it: where one
// has gone, a new one is drawn, and such results are executed again. So before a result
// is stored that would outlive an epoch, this is written anew. It is given epochLives
// times the life of the result and a minute, so that most results find it to last; when
// nothing records it any more, it goes by itself.
//
// Clocks of different machines tell how long an epoch still lasts. That decides only
// about work: an epoch that has gone too early makes nothing valid.
const (
	epochLives   = 3
	minEpochLife = time.Minute
)

// EpochLife returns the life of an epoch for results that live for d: in whole seconds,
// zero for no end.
func EpochLife(d time.Duration) time.Duration {
	if d > math.MaxInt64/(2*epochLives) {
		return 0
	}
	return (epochLives*d + minEpochLife + time.Second - 1).Truncate(time.Second)
}

// Lasts returns until when the store keeps s, an epoch that it was asked for at asked.
func (s *Record) Lasts(asked int64) int64 {
	if s.Life == 0 {
		return clock.Forever
	}
	age := max(time.Since(time.Unix(s.Written, 0)), 0)
	return clock.After(asked, s.Life-age)
}

// Living returns s, an epoch, with a life for results that live for life: the same epoch.
// It ends later than s does, which would not have lasted for one of them.
func (s *Record) Living(life time.Duration) *Record {
	next := *s
	next.Token, next.Kind, next.Life = store.NewToken(), KindEpoch, 0
	if life != 0 {
		next.Life = EpochLife(life)
	}
	return &next
}

// A Version is what tells the keys of one release's function from another's.
type Version struct {
	Head    string // what its keys have between the prefix and the arguments
	Shape   string // how its arguments are written into keys; see argsShape
	Current bool   // it may have results of the epoch in force; otherwise it had some of the one before
}

// maxVersions bounds how many versions are listed. Where there is no room for another
// one and none is a former one, a new epoch begins.
const maxVersions = 16

// formerFor is how long the list has not been written at least when a new epoch drops
// those that were former ones already: by then every process has seen the epoch that
// made them former. It is that long because clocks of different machines measure it.
const formerFor = time.Minute

// Lists reports whether v is among the current ones of versions.
func Lists(versions []Version, v *Version) bool {
	i := indexOf(versions, v)
	return i >= 0 && versions[i].Current
}

func indexOf(versions []Version, v *Version) int {
	return slices.IndexFunc(versions, func(o Version) bool { return o.Head == v.Head && o.Shape == v.Shape })
}

// Listing returns s, an epoch, with v listed as current: the same epoch, unless there
// was no room.
func (s *Record) Listing(v Version) *Record {
	next := NewEpoch(s.Mark)
	next.Epoch, next.Versions, next.Written, next.Life, next.Former = s.Epoch, slices.Clone(s.Versions), s.Written, s.Life, s.Former
	v.Current = true
	if i := indexOf(next.Versions, &v); i >= 0 {
		next.Versions = slices.Delete(next.Versions, i, i+1)
	}
	if len(next.Versions) >= maxVersions {
		i := slices.IndexFunc(next.Versions, func(o Version) bool { return !o.Current })
		if i < 0 {
			next = next.Successor(s.Mark)
			i = 0
		}
		next.Versions = slices.Delete(next.Versions, i, i+1)
	}
	next.Versions = append(next.Versions, v)
	return next
}

// Listed returns the versions that s lists, which may be nil.
func (s *Record) Listed() []Version {
	if s == nil {
		return nil
	}
	return s.Versions
}

// formerVersions returns the versions that a new epoch in the place of s lists.
func (s *Record) formerVersions() []Version {
	var versions []Version
	fresh := time.Now().Unix()-s.Written < int64(formerFor/time.Second)
	for _, v := range s.Versions {
		if v.Current || fresh {
			v.Current = false
			versions = append(versions, v)
		}
	}
	return versions
}
