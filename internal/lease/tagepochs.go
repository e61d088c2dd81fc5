package lease

import (
	"context"

	"github.com/seed-0226adef/memo/internal/fleet"
	"github.com/seed-0226adef/memo/internal/storeclient"
	"github.com/seed-0226adef/memo/internal/wire"
	"github.com/seed-0226adef/memo/store"
)

// A Tag is a tag of a result: of the group at path, and added by fn or not.
type Tag struct {
	Path, Name string
	Added      bool
}

// TagEpochs returns the epochs that tags had when f's execution began. It
// is not current if one of them may have been invalidated since.
//
//   - The epochs of static tags were looked up before.
//   - What was taken over from results brings the epochs that these have.
//   - What fn added is known only now. Its epoch is from before the
//     execution if it was read before, or if its mark says so: every
//     invalidation counts its group's counter up before it writes the epoch, and
//     the counter was read before the execution. No clock is asked.
func (f *Run) TagEpochs(ctx context.Context, tags []Tag, taken map[fleet.EpochAt]store.Token) (recorded []wire.TagEpochs, deps []fleet.Dependency, current bool, err error) {
	s, by := f.Collection, storeclient.Unhurried(f.Timeout)
	var open []fleet.Need
	for _, tag := range tags {
		open = append(open, f.late(tag, taken)...)
	}
	found, err := s.Ensure(ctx, by, f.EpochLife, open)
	if err != nil {
		return nil, nil, false, err
	}
	if current, err = f.early(ctx, open, found); err != nil || !current {
		return nil, nil, false, err
	}
	for _, tag := range tags {
		te := wire.TagEpochs{Path: tag.Path, Name: tag.Name}
		for _, n := range s.TagNeeds(te.Path, te.Name) {
			before, read := f.Epochs[n.Key]
			inherited, inherits := taken[fleet.EpochAt{Keyspace: s.Keyspace, Key: n.Key}]
			latest, asked := found[n.Key]
			if read && inherits && inherited != before.Token || inherits && asked && inherited != latest.Token {
				return nil, nil, false, nil
			}
			epoch := latest.Token
			switch {
			case read:
				epoch = before.Token
			case inherits:
				epoch = inherited
			}
			te.Epochs = append(te.Epochs, epoch)
			deps = append(deps, fleet.Dependency{Keyspace: s.Keyspace, Key: n.Key, Epoch: epoch, Tag: true})
		}
		recorded = append(recorded, te)
	}
	return recorded, deps, true, nil
}

// late returns those epochs of a tag that have to be looked up now.
func (f *Run) late(tag Tag, taken map[fleet.EpochAt]store.Token) (late []fleet.Need) {
	for _, n := range f.Collection.TagNeeds(tag.Path, tag.Name) {
		_, before := f.Epochs[n.Key]
		_, inherits := taken[fleet.EpochAt{Keyspace: f.Collection.Keyspace, Key: n.Key}]
		if !before && (!inherits || tag.Added) {
			late = append(late, n)
		}
	}
	return late
}

// early reports whether epochs that were read after f's execution had begun were in
// force before: by when the store had told of them, or by their marks. Where marks do not
// tell, because the counter has begun anew, it suffices that the counter is still
// the one from before: then nothing was invalidated at all.
func (f *Run) early(ctx context.Context, late []fleet.Need, found map[string]fleet.Epoch) (bool, error) {
	for _, n := range late {
		r := found[n.Key]
		counter, asked := f.Epochs[n.Counter]
		switch {
		case r.Known < f.began, asked && r.Mark.Generation == counter.Mark.Generation && r.Mark.Count <= counter.Mark.Count:
			continue
		case !asked: // the tag of a group that this one's results had none of before
			f.Collection.OtherCounters.Store(n.Counter, nil)
			return false, nil
		}
		values, _, err := f.Collection.Read(ctx, storeclient.Unhurried(f.Timeout), []string{n.Counter})
		if err != nil {
			return false, err
		}
		if s, err := wire.Decode(n.Counter, values[0]); err != nil || s.Epoch != counter.Token {
			return false, nil
		}
	}
	return true, nil
}
