package engine

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0226adef/memo/codec"
	"github.com/seed-0226adef/memo/internal/entry"
	"github.com/seed-0226adef/memo/internal/faultstore"
	"github.com/seed-0226adef/memo/internal/fresh"
	"github.com/seed-0226adef/memo/internal/nested"
	"github.com/seed-0226adef/memo/internal/shared"
	"github.com/seed-0226adef/memo/internal/tags"
	"github.com/seed-0226adef/memo/store"
)

// A process is a function in one process of a fleet. Its fn returns what source holds, with
// the tag "t".
type process struct {
	*Cache
	config *entry.Config
	store  *faultstore.Store
	source int
	done   chan struct{} // what fn waits for; see blocks
	inner  *process      // whose result fn returns instead, if there is one
}

// newProcess returns a process that has its results in s.
func newProcess(s store.Store) *process { return named("f", s) }

func named(name string, s store.Store) *process {
	p := &process{
		Cache: New(name, entry.TypingOf[int]()),
		config: &entry.Config{
			Policy: fresh.Policy{TTL: time.Minute, MaxAge: -1}, LoadTimeout: 30 * time.Second, StoreTimeout: 250 * time.Millisecond,
			Codec: codec.JSON, LocalTTL: -1, Keeps: func(_ any, err error) bool { return err == nil },
		},
	}
	p.Space = &tags.Namespace{Path: "g"}
	p.HoldLocally(100, 0)
	var faulty bool
	if p.store, faulty = s.(*faultstore.Store); !faulty {
		p.store = faultstore.New(s)
	}
	p.Share(shared.Place{Store: p.store, Name: name, Version: "v"})
	p.Prepare(p.config)
	p.Start(p.config)
	return p
}

// blocks has fn wait until the channel that it returns is closed.
func (p *process) blocks() chan struct{} {
	p.done = make(chan struct{})
	return p.done
}

// fn is the function, as an Execution.
type fn struct{ *process }

func (fn) Own(string)                             {}
func (fn) Abstain()                               {}
func (fn) Counted() bool                          { return false }
func (fn) AppendArgs(b []byte, key string) []byte { return append(b, key...) }

func (f fn) Run(ctx context.Context) (any, error) {
	if f.inner != nil {
		out := f.inner.Load(ctx, f.inner.config, f.inner.search())
		return f.inner.Types.Any(out.Entry.Value), out.Err
	}
	v := f.source
	if f.done != nil {
		<-f.done
	}
	nested.AddTags(ctx, []string{"t"})
	return &v, nil
}

// uncopied is fn with an argument whose copy panics.
type uncopied struct{ fn }

func (uncopied) Own(string) { panic("no copy") }

func (p *process) search() *Search                { return new(Search).Begin("k", fn{p}, nil, fresh.Unusable) }
func (p *process) call(ctx context.Context)       { p.Load(ctx, p.config, p.search()) }
func (p *process) set(ctx context.Context, v int) { p.Put(ctx, p.config, "k", fn{p}, &v) }
func (p *process) invalidate(ctx context.Context) {
	p.Invalidate(ctx, p.config, []string{"k"}, []string{p.SharedKey("k", fn{p})})
}

// gate has those operations on the results, or the leases, in s wait until it is opened.
func gate(s *faultstore.Store, op faultstore.Op) *faultstore.Gate {
	g := faultstore.NewGate()
	s.Before(op, faultstore.Keys(":f:v:", g.Wait))
	return g
}

func gated(s store.Store, op faultstore.Op) (*faultstore.Store, *faultstore.Gate) {
	f := faultstore.New(s)
	return f, gate(f, op)
}

// An underWay is a call of a process.
type underWay struct {
	*Call
	of *process
}

// current returns the call that is current when everything that can go on has done so.
func (p *process) current() *underWay {
	synctest.Wait()
	s := p.Shard("k")
	s.mu.Lock()
	defer s.mu.Unlock()
	return &underWay{s.calls["k"], p}
}

// in checks the state of the call when everything that can go on has done so.
func (c *underWay) in(t *testing.T, want State) *underWay {
	t.Helper()
	synctest.Wait()
	c.shard.mu.Lock()
	defer c.shard.mu.Unlock()
	if c.state != want {
		t.Errorf("the call is %v, want %v", c.state, want)
	}
	return c
}
