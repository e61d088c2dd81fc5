package fleettest

import (
	"context"
	"flag"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/seed-0226adef/memo/internal/testserver"
)

// parallel is how many tests run at once: what they do most is to wait, for a lease
// to run out or a store to come back.
const parallel = "16"

func TestMain(m *testing.M) {
	testserver.Main()
	flag.Parse()
	if err := flag.Set("test.parallel", parallel); err != nil {
		panic(err)
	}
	redis.SetLogger(silence{}) // which would say of every connection what becomes of it
	goleak.VerifyTestMain(unhurried{m})
}

// unhurried lets go of the tests when what goes on in the background has ended: it is
// bounded by the budgets of the tests, and goleak waits for less than that.
type unhurried struct{ tests *testing.M }

func (u unhurried) Run() int {
	code := u.tests.Run()
	for end := time.Now().Add(patience); goleak.Find() != nil && time.Now().Before(end); {
	}
	return code
}

type silence struct{}

func (silence) Printf(context.Context, string, ...any) {}
