package engine

import (
	"context"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0226adef/memo/internal/faultstore"
	"github.com/seed-0226adef/memo/store/memstore"
)

// table returns the rows of a table of two columns or more in the comment of State: the
// first words, those of the second column, by the heading of the first.
func table(t *testing.T, heading string) (rows [][2]string) {
	t.Helper()
	code, err := os.ReadFile("call.go")
	if err != nil {
		t.Fatal(err)
	}
	_, text, found := strings.Cut(string(code), "//\t"+heading)
	text, _, ended := strings.Cut(text, "\n//\n")
	if !found || !ended {
		t.Fatalf("call.go has no table that begins with %q", heading)
	}
	for _, row := range regexp.MustCompile(`(?m)^//\t(\w+) +(\w+)`).FindAllStringSubmatch(text, -1) {
		rows = append(rows, [2]string{row[1], row[2]})
	}
	return rows
}

func TestEveryStateIsInTheTable(t *testing.T) {
	var got []string
	for _, row := range table(t, "state ") {
		got = append(got, row[0])
	}
	want := slices.DeleteFunc(slices.Clone(stateNames[:]), func(name string) bool { return name == "" })
	if !slices.Equal(got, want) {
		t.Errorf("the table has the states %q, the code %q", got, want)
	}
}

func TestTransitionsAreThoseOfTheTable(t *testing.T) {
	var got, want []string
	for _, row := range table(t, "from ") {
		got = append(got, row[0]+" "+row[1])
	}
	for from, next := range transitions {
		for _, to := range next {
			want = append(want, State(from).String()+" "+to.String())
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("the table has the transitions\n%s\nthe code\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if walked := slices.Sorted(maps.Keys(walks)); !slices.Equal(got, walked) {
		t.Errorf("the test walks\n%s\nthe table has\n%s", strings.Join(walked, "\n"), strings.Join(got, "\n"))
	}
}

func TestCallsGoAlongEachRowOfTheTable(t *testing.T) {
	for row, walk := range walks {
		t.Run(row, func(t *testing.T) { synctest.Test(t, walk) })
	}
}

// walks has, for each row of the table, a call that is in the first state and goes on to
// the second.
var walks = map[string]func(*testing.T){
	"reading acquiring": func(t *testing.T) {
		s, reads := gated(memstore.New(nil), faultstore.Get)
		writes := gate(s, faultstore.Add)
		p := newProcess(s)
		go p.call(t.Context())
		call := p.current().in(t, reading)
		reads.Open()
		call.in(t, acquiring)
		writes.Open()
		call.in(t, published)
	},
	"reading answered": func(t *testing.T) {
		s := memstore.New(nil)
		newProcess(s).call(t.Context())
		slow, reads := gated(s, faultstore.Get)
		p := newProcess(slow)
		go p.call(t.Context())
		call := p.current().in(t, reading)
		reads.Open()
		call.in(t, answered)
	},
	"reading failed": func(t *testing.T) {
		s, reads := gated(memstore.New(nil), faultstore.Get)
		p := newProcess(s)
		go p.Peek(t.Context(), p.config, p.search())
		call := p.current().in(t, reading)
		reads.Open()
		call.in(t, failed)
	},
	"setting answered": func(t *testing.T) {
		s, writes := gated(memstore.New(nil), faultstore.Swap)
		p := newProcess(s)
		go p.set(t.Context(), 2)
		call := p.current().in(t, setting)
		writes.Open()
		call.in(t, answered)
	},
	"acquiring awaiting": func(t *testing.T) {
		s := memstore.New(nil)
		other := newProcess(s)
		done := other.blocks()
		slow, writes := gated(s, faultstore.Add)
		p := newProcess(slow)
		go p.call(t.Context())
		call := p.current().in(t, acquiring)
		go other.call(t.Context())
		synctest.Wait()
		writes.Open()
		call.in(t, awaiting)
		close(done)
	},
	"acquiring running": func(t *testing.T) {
		s, writes := gated(memstore.New(nil), faultstore.Add)
		p := newProcess(s)
		done := p.blocks()
		go p.call(t.Context())
		call := p.current().in(t, acquiring)
		writes.Open()
		call.in(t, running)
		close(done)
	},
	"acquiring answered": func(t *testing.T) {
		s := memstore.New(nil)
		slow, writes := gated(s, faultstore.Add)
		p := newProcess(slow)
		go p.call(t.Context())
		call := p.current().in(t, acquiring)
		newProcess(s).call(t.Context())
		writes.Open()
		call.in(t, answered)
	},
	"acquiring failed": func(t *testing.T) {
		s, writes := gated(memstore.New(nil), faultstore.Add)
		p := newProcess(s)
		ctx, leave := context.WithCancel(t.Context())
		go p.call(ctx)
		call := p.current().in(t, acquiring)
		leave()
		synctest.Wait()
		writes.Open()
		call.in(t, failed)
	},
	"awaiting running": func(t *testing.T) {
		call, other := awaits(t, t.Context())
		other.store.Before(faultstore.All, faultstore.Fail(context.DeadlineExceeded)) // it renews its lease no more
		time.Sleep(10 * time.Second)
		call.in(t, running)
		close(call.of.done)
		close(other.done)
	},
	"awaiting answered": func(t *testing.T) {
		call, other := awaits(t, t.Context())
		close(other.done)
		time.Sleep(time.Second) // for the next look at the store
		call.in(t, answered)
	},
	"awaiting failed": func(t *testing.T) {
		ctx, leave := context.WithCancel(t.Context())
		call, other := awaits(t, ctx)
		leave()
		call.in(t, failed)
		close(other.done)
	},
	"running publishing":   func(t *testing.T) { publishes(t).verify(t) },
	"publishing published": func(t *testing.T) { publishes(t).verify(t); publishes(t).invalidate(t) },
	"publishing lingering": func(t *testing.T) { publishes(t).linger(t).verify(t) },
	"lingering published":  func(t *testing.T) { publishes(t).linger(t).verify(t); publishes(t).linger(t).invalidate(t) },
}

// awaits returns a call that waits for the execution of another process, and that process.
func awaits(t *testing.T, ctx context.Context) (*underWay, *process) {
	s := memstore.New(nil)
	other := newProcess(s)
	other.blocks()
	go other.call(t.Context())
	synctest.Wait()
	p := newProcess(s)
	p.blocks()
	go p.call(ctx)
	return p.current().in(t, awaiting), other
}

// An onItsWay is a call whose result is on its way to the store.
type onItsWay struct {
	*underWay
	other  *process // which has the same store
	writes *faultstore.Gate
}

// publishes returns one whose waiters may wait for the store a fifth of StoreTimeout more.
func publishes(t *testing.T) *onItsWay {
	s := memstore.New(nil)
	slow, writes := gated(s, faultstore.Swap)
	p := newProcess(slow)
	read := p.config.StoreTimeout * 4 / 5
	slow.Before(faultstore.Get, faultstore.Keys(":f:v:", faultstore.Delay(read)))
	done := p.blocks()
	go p.call(t.Context())
	time.Sleep(read)
	call := p.current().in(t, running)
	close(done)
	return &onItsWay{call.in(t, publishing), newProcess(s), writes}
}

func (p *onItsWay) linger(t *testing.T) *onItsWay {
	time.Sleep(p.of.config.StoreTimeout / 5)
	p.in(t, lingering)
	return p
}

func (p *onItsWay) verify(t *testing.T) {
	p.writes.Open()
	p.in(t, published)
}

func (p *onItsWay) invalidate(t *testing.T) {
	p.other.invalidate(t.Context())
	p.writes.Open()
	p.in(t, published)
}
