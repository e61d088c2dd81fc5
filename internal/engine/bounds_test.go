package engine

import (
	"strconv"
	"testing"
	"time"

	"github.com/seed-0226adef/memo/internal/entry"
	"github.com/seed-0226adef/memo/internal/fresh"
	"github.com/seed-0226adef/memo/store"
)

func TestFailuresRememberedAreBounded(t *testing.T) {
	var s shard
	for i := range maxFailing + 100 {
		at := entry.Location{Token: store.NewToken()}
		s.fails(entry.NewIn(at, strconv.Itoa(i), nil, fresh.Window{}, time.Now(), 0), 0)
	}
	if got := len(s.failing); got > maxFailing {
		t.Errorf("the failures of %d results are remembered, want at most %d", got, maxFailing)
	}
}
