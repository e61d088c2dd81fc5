package sim

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/seed-0226adef/memo"
	"github.com/seed-0226adef/memo/internal/histories"
	"github.com/seed-0226adef/memo/store"
)

// A history is a fleet, and what happens to it.
type history struct {
	*histories.World
	rng       *rand.Rand // of the one who prepares and disturbs; clients have their own
	seed      uint64
	server    *server
	notifies  bool
	rough     float64
	incarnate int // how many processes there have been

	writing chan struct{} // full while there is a Set: what that writes was read before, and must not cross another change

	mu        sync.Mutex
	processes []*process // guarded by mu
	killed    []*link    // guarded by mu
}

// A process is one of the fleet, until it is killed.
type process struct {
	id    int
	link  *link
	group *memo.Group
	plain *memo.Func[string, int64]  // has a static tag
	inner *memo.Func[string, int64]  // adds a tag at its end
	outer *memo.Func[string, int64]  // is made of inner's results
	batch *memo.Batch[string, int64] // has no tag
}

var keys = []string{"a", "b"}

// localTTL is for how long copies are trusted.
const localTTL = 700 * time.Millisecond

// writers is more than there are clients.
const writers = 16

// run runs the history of a seed, and returns what is wrong with it, if anything is.
func run(seed uint64) (wrong, told string, reads int) {
	h := &history{World: histories.New(), seed: seed, server: newServer(), rng: rngOf(seed, 0), writing: make(chan struct{}, writers)}
	h.notifies = h.rng.IntN(3) == 0
	h.rough = []float64{0, 0.05, 0.3}[h.rng.IntN(3)]
	for range 2 + h.rng.IntN(2) {
		h.processes = append(h.processes, h.start())
	}
	var clients sync.WaitGroup
	for i := range 2 * len(h.processes) {
		clients.Go(func() { h.client(i/2, rngOf(seed, uint64(100+i))) })
	}
	done := make(chan struct{})
	var nature sync.WaitGroup
	nature.Go(func() { h.disturb(done) })
	clients.Wait()
	close(done)
	nature.Wait()
	h.end()
	wrong, reads = h.Verdict()
	return wrong, h.String(), reads
}

func rngOf(seed, part uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, part)) }

// start starts a process.
func (h *history) start() *process {
	h.incarnate++
	p := &process{id: h.incarnate}
	p.link = newLink(h.server, rngOf(h.seed, uint64(1000+p.id)), h.rough)
	var s store.Store = p.link
	if h.notifies {
		s = notifying{p.link}
	}
	rng := rngOf(h.seed, uint64(2000+p.id))
	var mu sync.Mutex // guards rng
	pause := func() {
		mu.Lock()
		d := time.Duration(rng.Int64N(int64(20 * time.Millisecond)))
		switch rng.IntN(12) {
		case 0:
			d = time.Duration(rng.Int64N(int64(2 * time.Second)))
		case 1:
			d = time.Duration(rng.Int64N(int64(7 * time.Second)))
		}
		mu.Unlock()
		time.Sleep(d)
	}
	read := func(key string) int64 {
		pause()
		v := h.Read(key)
		pause()
		return v
	}
	all := memo.Options{memo.Store(s), memo.TTL(time.Hour), memo.LocalTTL(localTTL), memo.Logger(slog.New(slog.DiscardHandler))}
	p.group = memo.NewGroup("g", all)
	p.plain = memo.New(func(_ context.Context, key string) (int64, error) { return read(key), nil }, p.group, memo.Name("plain"), memo.Tags("static"))
	p.inner = memo.New(func(ctx context.Context, key string) (int64, error) {
		v := read(key)
		memo.AddTags(ctx, key)
		return v, nil
	}, p.group, memo.Name("inner"))
	p.outer = memo.New(func(ctx context.Context, key string) (int64, error) {
		v, err := p.inner.Call(ctx, key)
		pause()
		return v, err
	}, p.group, memo.Name("outer"))
	p.batch = memo.NewBatch(func(_ context.Context, keys []string) (map[string]int64, error) {
		found := map[string]int64{}
		for _, key := range keys {
			found[key] = read(key)
		}
		return found, nil
	}, p.group, memo.Name("batch"))
	return p
}

func (h *history) process(i int) *process {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.processes[i%len(h.processes)]
}

// client is one of those who use a process, or what has come in its place.
func (h *history) client(of int, rng *rand.Rand) {
	for range 4 + rng.IntN(10) {
		time.Sleep(time.Duration(rng.Int64N(int64([]time.Duration{30 * time.Millisecond, 700 * time.Millisecond, 3 * time.Second}[rng.IntN(3)]))))
		h.step(h.process(of), rng)
	}
}

// step is one operation.
func (h *history) step(p *process, rng *rand.Rand) {
	key := keys[rng.IntN(len(keys))]
	functions := map[string]*memo.Func[string, int64]{"plain": p.plain, "inner": p.inner, "outer": p.outer}
	name := []string{"plain", "inner", "outer"}[rng.IntN(3)]
	f, ctx := functions[name], context.Background()
	one := map[string]int64{key: 0}
	op := rng.IntN(20)
	if op >= 6 && op <= 17 {
		alone := op == 6 || op == 17
		h.changes(alone)
		defer h.changed(alone)
	}
	began := time.Now()
	own := []string{name}
	if name == "outer" { // whose result may be made anew of what inner has
		own = nil
	}
	switch op {
	default:
		v, err := f.Call(ctx, key)
		h.Check(began, p.id, "Call", name, key, v, err, false)
	case 0, 1:
		v, err := f.Call(memo.WithMaxAge(ctx, 0), key)
		h.Check(began, p.id, "Call(MaxAge 0)", name, key, v, err, true)
	case 2:
		e, err := f.Peek(ctx, key)
		h.Check(began, p.id, "Peek", name, key, e.Value, err, false)
	case 3:
		before := h.Read(key)
		v, err := p.plain.Refresh(ctx, key)
		h.Newer(began, p.id, "Refresh", "plain", key, v, before, err)
	case 4, 5:
		all, err := p.batch.Call(ctx, keys)
		for _, key := range keys {
			h.Check(began, p.id, "Call", "batch", key, all[key], err, false)
		}
	case 6, 17:
		one[key] = h.Write(key)
		err := p.plain.Set(ctx, key, one[key])
		h.Invalidated(began, p.id, "Set plain", []string{"plain"}, one, err)
	case 7, 8:
		one[key] = h.Write(key)
		err := f.Invalidate(ctx, key)
		h.Invalidated(began, p.id, "Invalidate "+name, own, one, err)
	case 9:
		one[key] = h.Write(key)
		err := f.Expire(ctx, key)
		h.Invalidated(began, p.id, "Expire "+name, own, one, err)
	case 10:
		one[key] = h.Write(key)
		err := p.batch.Invalidate(ctx, key)
		h.Invalidated(began, p.id, "Invalidate batch", []string{"batch"}, one, err)
	case 11:
		err := f.Clear(ctx)
		h.Invalidated(began, p.id, "Clear "+name, own, h.writeAll(), err)
	case 12:
		all := h.writeAll()
		err := p.group.Clear(ctx)
		h.Invalidated(began, p.id, "Group.Clear", []string{"plain", "inner", "outer", "batch"}, all, err)
	case 13:
		all := h.writeAll()
		err := p.group.InvalidateTags(ctx, "static")
		h.Invalidated(began, p.id, "InvalidateTags static", []string{"plain"}, all, err)
	case 14, 15:
		one[key] = h.Write(key)
		err := p.group.InvalidateTags(ctx, key)
		h.Invalidated(began, p.id, "InvalidateTags "+key, []string{"inner", "outer"}, one, err)
	case 16:
		one[key] = h.Write(key)
		err := p.group.ExpireTags(ctx, key)
		h.Invalidated(began, p.id, "ExpireTags "+key, []string{"inner", "outer"}, one, err)
	}
}

// changes waits until the caller may change something; a Set does so alone.
func (h *history) changes(alone bool) {
	n := 1
	if alone {
		n = writers
	}
	for taken := 0; taken < n; {
		select {
		case h.writing <- struct{}{}:
			taken++
		default: // not half of it, which could wait for another half
			for range taken {
				<-h.writing
			}
			taken = 0
			time.Sleep(time.Millisecond)
		}
	}
}

func (h *history) changed(alone bool) {
	n := 1
	if alone {
		n = writers
	}
	for range n {
		<-h.writing
	}
}

// writeAll makes the next version of every key.
func (h *history) writeAll() map[string]int64 {
	all := map[string]int64{}
	for _, key := range keys {
		all[key] = h.Write(key)
	}
	return all
}

// disturb is what happens to the fleet, until done is closed.
func (h *history) disturb(done <-chan struct{}) {
	var older map[string][]byte
	for {
		select {
		case <-done:
			return
		case <-time.After(time.Duration(h.rng.Int64N(int64(3 * time.Second)))):
		}
		i := h.rng.IntN(len(h.processes))
		switch h.rng.IntN(8) {
		case 0:
			h.say("cut", i)
			h.process(i).link.part(true)
			time.Sleep(time.Duration(h.rng.Int64N(int64(3 * time.Second))))
			h.say("healed", i)
			h.process(i).link.part(false)
		case 1:
			h.say("killed", i)
			h.process(i).link.die(true)
			next := h.start()
			h.mu.Lock()
			h.killed = append(h.killed, h.processes[i].link)
			h.processes[i] = next
			h.mu.Unlock()
		case 2:
			h.say("the server came back empty", i)
			h.server.restart(nil)
			older = nil
		case 3:
			if written := h.server.written(); len(written) > 0 {
				key := written[h.rng.IntN(len(written))]
				h.say("evicted "+key, i)
				h.server.current().Delete(context.Background(), key)
			}
		case 4:
			older = h.server.snapshot()
		case 5:
			if older != nil {
				h.restore(older)
				older = nil
			}
		}
	}
}

// restore has the server come back with older data, and then does what the docs ask for.
func (h *history) restore(older map[string][]byte) {
	end := h.Excuse()
	h.say("the server came back with older data", 0)
	h.server.restart(older)
	for {
		p := h.process(0)
		if err := p.group.Clear(context.Background()); err == nil {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	h.say("cleared", 0)
	end()
}

func (h *history) say(what string, i int) { h.Say(h.process(i).id, what) }

// end lets everything come to rest, when nothing is checked any more: those who were killed do
// so as well.
func (h *history) end() {
	h.mu.Lock()
	for _, p := range h.processes {
		p.link.smooth()
	}
	for _, l := range h.killed {
		l.die(false)
		l.smooth()
	}
	h.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := memo.Drain(ctx); err != nil {
		panic(fmt.Sprintf("sim: seed %d: %v", h.seed, err))
	}
	time.Sleep(time.Minute) // what the network still carries
}
