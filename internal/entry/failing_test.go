package entry

import (
	"strconv"
	"testing"
	"time"

	"github.com/seed-0226adef/memo/internal/fresh"
	"github.com/seed-0226adef/memo/store"
)

func TestFailuresRememberedAreBounded(t *testing.T) {
	var f Failing
	for i := range maxFailing + 100 {
		at := Location{Token: store.NewToken()}
		f.Note(NewIn(at, strconv.Itoa(i), nil, fresh.Window{}, time.Now(), 0), 0)
	}
	if got := len(f.by); got > maxFailing {
		t.Errorf("the failures of %d results are remembered, want at most %d", got, maxFailing)
	}
}
