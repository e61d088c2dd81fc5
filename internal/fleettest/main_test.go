package fleettest

import (
	"flag"
	"testing"

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
	goleak.VerifyTestMain(m)
}
