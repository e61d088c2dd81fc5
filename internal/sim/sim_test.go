package sim

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"testing/synctest"
	"time"
)

// short is for how long histories are run where MEMO_SIM does not say.
const short = 3 * time.Second

// fixed is how many histories have the same seeds in every run.
const fixed = 100

func TestNoHistoryViolatesAGuarantee(t *testing.T) {
	if text := os.Getenv("MEMO_SIM_SEED"); text != "" {
		seed, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		simulate(t, seed)
		return
	}
	limit := short
	if text := os.Getenv("MEMO_SIM"); text != "" {
		var err error
		if limit, err = time.ParseDuration(text); err != nil {
			t.Fatal(err)
		}
	}
	began, base := time.Now(), rand.Uint64()
	n, reads := 0, 0
	for ; time.Since(began) < limit && !t.Failed(); n++ {
		seed := uint64(n)
		if n >= fixed {
			seed += base
		}
		reads += simulate(t, seed)
	}
	t.Logf("%d histories, %d of them from seed %d on, with %d reads in %v", n, max(n-fixed, 0), base+fixed, reads, time.Since(began).Round(time.Millisecond))
}

// simulate runs one history, and returns how many reads were checked.
func simulate(t *testing.T, seed uint64) (reads int) {
	synctest.Test(t, func(t *testing.T) {
		wrong, told, n := run(seed)
		reads = n
		if wrong != "" {
			t.Errorf("%s\n%s\nMEMO_SIM_SEED=%d runs it again", wrong, told, seed)
		}
	})
	return reads
}
