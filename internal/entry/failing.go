package entry

// Failing are stored results whose refresh has failed, by key: every copy of one that is read
// from the store knows of it. The zero Failing is empty.
type Failing struct {
	by map[string]*Entry
}

// maxFailing bounds how many are remembered. Beyond that all are forgotten.
const maxFailing = 1 << 10

// Note notes that an attempt to refresh e has failed at t, also for other copies of e.
func (f *Failing) Note(e *Entry, t int64) {
	e.RefreshFailed(t)
	if !e.Stored() {
		return
	}
	if f.by == nil || len(f.by) >= maxFailing {
		f.by = map[string]*Entry{}
	}
	f.by[e.Key] = e
}

// Resume tells e, a copy of a stored result, of earlier attempts to refresh it.
func (f *Failing) Resume(e *Entry) {
	if old := f.by[e.Key]; old != nil && old.Location().Token == e.Location().Token {
		e.Resume(old)
	} else {
		delete(f.by, e.Key)
	}
}
