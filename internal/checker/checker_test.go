//go:build unix

package checker

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-0226adef/memo/internal/histories"
	"github.com/seed-0226adef/memo/internal/testserver"
	"github.com/seed-0226adef/memo/store/dynamostore"
)

// A system is servers of a kind, and what can go wrong on the way to them.
type system struct {
	kind, addr string
	faults     []func() (heal func())
}

// systems start one of each kind.
var systems = map[string]func(*testing.T) *system{
	"redis": func(t *testing.T) *system {
		p := testserver.NewRedisProxy(t, testserver.RedisTCP(t))
		return &system{"redis", p.Addr, faultsOf(t, p.Proxy)}
	},
	"memcached": func(t *testing.T) *system {
		p := testserver.NewMemcachedProxy(t, testserver.MemcachedTCP(t))
		return &system{"memcached", p.Addr, faultsOf(t, p.Proxy)}
	},
	"three memcacheds": func(t *testing.T) *system {
		s := &system{kind: "memcached"}
		var addrs []string
		for range 3 {
			p := testserver.NewMemcachedProxy(t, testserver.MemcachedTCP(t))
			addrs, s.faults = append(addrs, p.Addr), append(s.faults, faultsOf(t, p.Proxy)...)
		}
		s.addr = strings.Join(addrs, ",")
		return s
	},
	"dynamodb": func(t *testing.T) *system {
		endpoint := testserver.Dynalite(t)
		if err := dynamostore.CreateTable(t.Context(), dynamoClient(endpoint), table, nil); err != nil {
			t.Fatal(err)
		}
		return &system{kind: "dynamodb", addr: endpoint}
	},
}

func faultsOf(t *testing.T, p *testserver.Proxy) []func() func() {
	heal := func() { p.Heal(t) }
	return []func() func(){
		func() func() { p.Latency(100 * time.Millisecond); return heal },
		func() func() { p.Latency(400 * time.Millisecond); return heal },
		func() func() { p.BlackHole(true); return heal },
		func() func() { p.Reset(true); return heal },
		func() func() { p.Tear(3); return heal },
		func() func() { p.Drop(); return heal },
	}
}

// short is for how long each system is checked where CHECK does not say.
const short = 4 * time.Second

// limit returns for how long one of n systems is checked, and whether that was asked for.
func limit(t *testing.T, n int) (d time.Duration, asked bool) {
	text := os.Getenv("CHECK")
	if text == "" {
		return short, false
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return d / time.Duration(n), true
}

// seed returns that of the run.
func seed(t *testing.T) uint64 {
	text := os.Getenv("MEMO_CHECK_SEED")
	if text == "" {
		return rand.Uint64()
	}
	s, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestNoHistoryOnRealServersViolatesAGuarantee(t *testing.T) {
	d, asked := limit(t, len(systems))
	for name, start := range systems {
		t.Run(name, func(t *testing.T) {
			if !asked { // for longer, one after the other: busy servers hide nothing
				t.Parallel()
			}
			check(t, start(t), seed(t), d)
		})
	}
}

var keys = []string{"a", "b"}

// A history is a fleet on a system, and what is done to it.
type history struct {
	*histories.World
	t      *testing.T
	system *system
	folder string

	source  sync.Mutex   // held while the database changes
	setting sync.RWMutex // held for writing by a Set: what it writes was read before, and must not cross another change

	mu        sync.Mutex
	processes []*testserver.Process // guarded by mu
	ids       []int                 // guarded by mu; of the processes, which differ when one is replaced
	last      int                   // guarded by mu
}

// check runs histories for d.
func check(t *testing.T, s *system, seed uint64, d time.Duration) {
	h := &history{World: histories.New(), t: t, system: s, folder: t.TempDir()}
	h.Slack = 500 * time.Millisecond // of a machine that is busy with other tests
	for _, key := range keys {
		h.put(key, 0)
	}
	for range 3 {
		h.processes, h.ids = append(h.processes, h.start()), append(h.ids, h.number())
	}
	over := time.Now().Add(d)
	var all sync.WaitGroup
	for i := range 3 * len(h.processes) {
		rng := rand.New(rand.NewPCG(seed, uint64(i)))
		all.Go(func() {
			for time.Now().Before(over) {
				h.step(i/3, rng)
			}
		})
	}
	all.Go(func() { h.disturb(over, rand.New(rand.NewPCG(seed, 1000))) })
	all.Wait()
	wrong, reads := h.Verdict()
	t.Logf("%d reads with seed %d", reads, seed)
	if wrong != "" {
		lines := strings.Split(h.String(), "\n")
		t.Errorf("%s\n%s\nMEMO_CHECK_SEED=%d tries the same again", wrong, strings.Join(lines[max(len(lines)-400, 0):], "\n"), seed)
	}
	if reads < 100 {
		t.Errorf("%d reads were checked, which shows nothing", reads)
	}
}

func (h *history) start() *testserver.Process {
	return program.Start(h.t, 1, h.system.kind, h.system.addr, h.folder)[0]
}

func (h *history) number() int {
	h.last++
	return h.last
}

func (h *history) process(i int) (*testserver.Process, int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.processes[i], h.ids[i]
}

// put puts a version into the database.
func (h *history) put(key string, v int64) {
	path := filepath.Join(h.folder, key)
	if err := os.WriteFile(path+".new", strconv.AppendInt(nil, v, 10), 0o600); err != nil {
		h.t.Error(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		h.t.Error(err)
	}
}

// write makes the next version of some keys.
func (h *history) write(keys ...string) map[string]int64 {
	h.source.Lock()
	defer h.source.Unlock()
	written := map[string]int64{}
	for _, key := range keys {
		written[key] = h.Write(key)
		h.put(key, written[key])
	}
	return written
}

// version returns that of a key.
func (h *history) version(key string) int64 {
	h.source.Lock()
	defer h.source.Unlock()
	return h.Read(key)
}

// step is one operation of a process.
func (h *history) step(i int, rng *rand.Rand) {
	p, id := h.process(i)
	key := keys[rng.IntN(len(keys))]
	name := []string{"plain", "inner", "outer"}[rng.IntN(3)]
	own := []string{name}
	if name == "outer" { // whose result may be made anew of what inner has
		own = nil
	}
	op := rng.IntN(200)
	if op < 14 {
		h.change(p, id, op, name, key, own)
		return
	}
	began := time.Now()
	switch {
	case op < 24:
		v, err := numbers(p.Do("fresh", name, key))
		h.Check(began, id, "Call(MaxAge 0)", name, key, v[0], err, true)
	case op < 30:
		before := h.version(key)
		v, err := numbers(p.Do("refresh", "plain", key))
		h.Newer(began, id, "Refresh", "plain", key, v[0], before, err)
	case op < 60:
		v, err := numbers(p.Do(append([]string{"batch"}, keys...)...))
		for j, key := range keys {
			h.Check(began, id, "Call", "batch", key, v[min(j, len(v)-1)], err, false)
		}
	default:
		v, err := numbers(p.Do("call", name, key))
		h.Check(began, id, "Call", name, key, v[0], err, false)
	}
	time.Sleep(time.Duration(rng.Int64N(int64(15 * time.Millisecond))))
}

// change is one that changes the database, and what is cached of it.
func (h *history) change(p *testserver.Process, id, op int, name, key string, own []string) {
	if op == 0 {
		h.setting.Lock()
		defer h.setting.Unlock()
	} else {
		h.setting.RLock()
		defer h.setting.RUnlock()
	}
	began := time.Now()
	var written map[string]int64
	do := func(functions []string, keys []string, words ...string) {
		written = h.write(keys...)
		if words[0] == "set" {
			words = append(words, strconv.FormatInt(written[key], 10))
		}
		_, err := p.Do(words...)
		h.Invalidated(began, id, strings.Join(words, " "), functions, written, err)
	}
	one := []string{key}
	switch op {
	case 0:
		do([]string{"plain"}, one, "set", "plain", key)
	case 1:
		do(own, keys, "clear", name)
	case 2:
		do([]string{"plain", "inner", "outer", "batch"}, keys, "clear group")
	case 3, 4:
		do([]string{"plain"}, keys, "invalidate tags", "static")
	case 5, 6:
		do([]string{"inner", "outer"}, one, "invalidate tags", key)
	case 7:
		do([]string{"inner", "outer"}, one, "expire tags", key)
	case 8, 9:
		do(own, one, "expire", name, key)
	default:
		do(own, one, "invalidate", name, key)
	}
}

// numbers reads a reply; there is always one.
func numbers(text string, err error) ([]int64, error) {
	if err != nil {
		return []int64{0}, err
	}
	var all []int64
	for _, word := range strings.Fields(text) {
		n, err := strconv.ParseInt(word, 10, 64)
		if err != nil {
			return []int64{0}, err
		}
		all = append(all, n)
	}
	return all, nil
}

// disturb is what happens to the fleet.
func (h *history) disturb(over time.Time, rng *rand.Rand) {
	for time.Now().Before(over) {
		time.Sleep(time.Duration(rng.Int64N(int64(time.Second))))
		if len(h.system.faults) > 0 && rng.IntN(4) > 0 {
			n := rng.IntN(len(h.system.faults))
			h.Say(0, fmt.Sprintf("fault %d", n))
			heal := h.system.faults[n]()
			time.Sleep(time.Duration(rng.Int64N(int64(800 * time.Millisecond))))
			heal()
			h.Say(0, "healed")
			continue
		}
		i := rng.IntN(len(h.processes))
		p, id := h.process(i)
		h.Say(id, "killed")
		p.Kill()
		next := h.start()
		h.mu.Lock()
		h.processes[i], h.ids[i] = next, h.number()
		h.mu.Unlock()
	}
}

// A process that dies while it executes costs another execution, and nothing else does.
func TestKilledProcessesCostAnExecutionEach(t *testing.T) {
	rounds := 2
	if _, asked := limit(t, 1); asked {
		rounds = 30
	} else {
		t.Parallel()
	}
	const callers = 250 // of each of the four
	rng := rand.New(rand.NewPCG(seed(t), 0))
	folder, addr := t.TempDir(), testserver.RedisTCP(t).Addr
	processes := program.Start(t, 4, "redis", addr, folder)
	for round := range rounds {
		key := fmt.Sprint("round", round)
		var crowds sync.WaitGroup
		for _, p := range processes {
			crowds.Go(func() { p.Do("crowd", key, strconv.Itoa(callers)) }) // that of the one that is killed fails
		}
		time.Sleep(time.Duration(rng.Int64N(int64(60 * time.Millisecond))))
		i := rng.IntN(len(processes))
		processes[i].Kill()
		crowds.Wait()
		processes[i] = program.Start(t, 1, "redis", addr, folder)[0]
		b, err := os.ReadFile(filepath.Join(folder, key))
		if err != nil {
			t.Fatal(err)
		}
		begun, ended := strings.Count(string(b), "begun"), strings.Count(string(b), "ended")
		if ended < 1 || begun > 2 {
			t.Errorf("round %d: fn was begun %d times and ended %d times, want an end, and at most one begin more, for the process that died", round, begun, ended)
		}
	}
}
