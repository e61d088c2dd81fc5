package stored

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"time"

	"github.com/seed-0226adef/memo/internal/fleet"
	"github.com/seed-0226adef/memo/internal/function"
	"github.com/seed-0226adef/memo/store"
)

// A patternLog is how processes that share a store tell each other of patterns: one
// value, which is changed by Add and Swap only. It has a random name, which
// responses record together with how far the log went when their handler began. A
// store that has lost the log gets one of another name, and what was stored before
// is not used any more.
type patternLog struct {
	token store.Token
	name  string
	seq   uint64    // of the newest pattern
	floor uint64    // responses that know less are too old
	wrote int64     // when it was written, in Unix time: it is renewed before its store drops it
	list  []pattern // with all but their versions
}

const (
	// PatternTrust is for how long a reading of the log counts: other processes see
	// a purge within one second.
	PatternTrust = time.Second

	patternLogVersion = 1
	maxLogged         = 1000 // patterns in the log
	logAttempts       = 10
)

// isCurrent reports whether the log was read within the last second, and since a token of ctx
// was seen first. From half a second
// on it is read again in the background, so that no hit of a cache in use waits for
// the store.
func (p *Patterns) isCurrent(ctx context.Context, now time.Time) bool {
	read := p.read.Load()
	age := now.UnixNano() - read
	if since := function.Since(ctx); age >= int64(PatternTrust) || !since.IsZero() && read < since.UnixNano() {
		return false
	}
	if age >= int64(PatternTrust/2) && p.renewing.CompareAndSwap(false, true) {
		go p.renew()
	}
	return true
}

// renew reads the log once, and ends with that.
func (p *Patterns) renew() {
	defer p.renewing.Store(false)
	p.reading.Lock()
	defer p.reading.Unlock()
	p.fetch(context.Background()) // an error leaves the reading as old as it is
}

// refresh reads the log, unless that was done within the last second, and reports
// whether what is known is current.
func (p *Patterns) refresh(ctx context.Context) bool {
	if p.isCurrent(ctx, time.Now()) {
		return true
	}
	p.reading.Lock()
	defer p.reading.Unlock()
	if p.isCurrent(ctx, time.Now()) {
		return true
	}
	_, err := p.fetch(context.WithoutCancel(ctx))
	return err == nil
}

// fetch reads the log, begins one where there is none, and learns what is new. The
// caller holds p.reading.
func (p *Patterns) fetch(ctx context.Context) (*patternLog, error) {
	began := time.Now()
	for range logAttempts {
		value, err := p.notes.Get(ctx)
		if err != nil {
			return nil, err
		}
		if log, ok := decodeLog(value); ok {
			p.learn(log)
			p.read.Store(began.UnixNano())
			if began.Sub(time.Unix(log.wrote, 0)) > function.NotesLife/4 {
				p.notes.Swap(ctx, log.token, log.encode()) // or another process does
			}
			return log, nil
		}
		if err = p.begin(ctx, value); err != nil && !errors.Is(err, store.ErrExists) && !errors.Is(err, store.ErrConflict) {
			return nil, err
		}
	}
	return nil, errManyPatterns
}

// begin puts an empty log in the place of value, which is none of this version.
func (p *Patterns) begin(ctx context.Context, value []byte) error {
	log := &patternLog{name: rand.Text()}
	if old, ok := store.TokenOf(value); ok {
		return p.notes.Swap(ctx, old, log.encode())
	}
	if value != nil {
		if err := p.notes.Delete(ctx); err != nil {
			return err
		}
	}
	return p.notes.Add(ctx, log.encode())
}

// learn takes over what is new in the log.
func (p *Patterns) learn(log *patternLog) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case log.name != p.log.name, log.floor > p.log.seq: // something may have been missed
		p.version.Add(1)
		p.floor = p.version.Load()
		p.log.seq = 0
	}
	for _, one := range log.list {
		if one.seq > p.log.seq {
			p.add(one)
		}
	}
	p.log = patternLog{name: log.name, seq: log.seq, floor: log.floor}
}

// publish notes a pattern, and tells the store. If that fails, the pattern counts in
// this process, and the store is told as soon as it can be.
func (p *Patterns) publish(ctx context.Context, one pattern) error {
	p.mu.Lock()
	p.add(one)
	p.mu.Unlock()
	p.reading.Lock()
	defer p.reading.Unlock()
	err := p.tell(ctx)
	if err == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.retrying {
		p.retrying = true
		fleet.Untold.Add(1)
		time.AfterFunc(PatternTrust, p.retry)
	}
	return errors.Join(errors.New("memo: httpcache: Purge has not reached the store yet, and is repeated until it does"), err)
}

func (p *Patterns) retry() {
	p.reading.Lock()
	defer p.reading.Unlock()
	err := p.tell(context.Background())
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.retrying = err != nil; p.retrying {
		time.AfterFunc(PatternTrust, p.retry)
	} else {
		fleet.Untold.Add(-1)
	}
}

// tell appends to the log what the store has not been told. The caller holds
// p.reading.
func (p *Patterns) tell(ctx context.Context) error {
	for range logAttempts {
		log, err := p.fetch(ctx)
		if err != nil {
			return err
		}
		open := p.untold()
		if len(open) == 0 {
			return nil
		}
		err = p.notes.Swap(ctx, log.token, log.with(open).encode())
		if err == nil {
			p.told(open, log)
			return nil
		}
		if !errors.Is(err, store.ErrConflict) && !errors.Is(err, store.ErrNotFound) {
			return err
		}
	}
	return errManyPatterns
}

// untold returns the patterns that the store has not been told.
func (p *Patterns) untold() (open []pattern) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, one := range p.list {
		if one.seq == 0 {
			open = append(open, one)
		}
	}
	return open
}

// told notes that the store has these patterns, as the next ones of its log.
func (p *Patterns) told(open []pattern, log *patternLog) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range open {
		for j := range p.list {
			if p.list[j].version == open[i].version {
				p.list[j].seq = open[i].seq
			}
		}
	}
	p.log.seq = log.seq
}

// with returns the log with more patterns, which get their numbers. Those that are among
// them again, and the oldest where there are too many, are left out.
func (l *patternLog) with(more []pattern) *patternLog {
	for i := range more {
		l.seq++
		more[i].seq = l.seq
	}
	var list []pattern
	seen := map[pattern]bool{}
	all := append(l.list, more...)
	for i := len(all) - 1; i >= 0; i-- {
		same := all[i]
		same.version, same.seq, same.expired = 0, 0, min(same.expired, 1) // an expiry takes no purge's place
		if seen[same] {
			continue
		}
		if seen[same] = true; len(list) == maxLogged {
			l.floor = max(l.floor, all[i].seq)
			break
		}
		list = append(list, all[i])
	}
	l.list = make([]pattern, 0, len(list))
	for i := len(list) - 1; i >= 0; i-- {
		l.list = append(l.list, list[i])
	}
	return l
}

func (l *patternLog) encode() []byte {
	token := store.NewToken()
	b := append(token[:], patternLogVersion)
	b = appendString(b, l.name)
	b = binary.AppendUvarint(b, l.seq)
	b = binary.AppendUvarint(b, l.floor)
	b = binary.AppendVarint(b, time.Now().Unix())
	b = binary.AppendUvarint(b, uint64(len(l.list)))
	for _, one := range l.list {
		b = binary.AppendUvarint(b, one.seq)
		b = append(b, bits(one.prefix, one.tag, one.expired != 0))
		b = appendString(appendString(b, one.host), one.target)
		if one.expired != 0 {
			b = binary.AppendVarint(b, one.expired)
		}
	}
	return b
}

func decodeLog(value []byte) (*patternLog, bool) {
	if len(value) < store.TokenSize {
		return nil, false
	}
	l := &patternLog{token: store.Token(value[:store.TokenSize])}
	d := decoder{rest: value[store.TokenSize:]}
	if d.byte() != patternLogVersion {
		return nil, false
	}
	l.name, l.seq, l.floor = d.string(), d.uvarint(), d.uvarint()
	l.wrote = d.varint()
	for range d.length() {
		one := pattern{seq: d.uvarint()}
		flags := d.byte()
		one.prefix, one.tag = flags&1 != 0, flags&2 != 0
		one.host, one.target = d.string(), d.string()
		if flags&4 != 0 {
			one.expired = d.varint()
		}
		l.list = append(l.list, one)
	}
	return l, !d.bad && l.name != "" && len(d.rest) == 0
}
