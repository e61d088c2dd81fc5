package engine

import (
	"strconv"
	"testing"

	"github.com/seed-0226adef/memo/internal/entry"
	"github.com/seed-0226adef/memo/internal/tier"
	"github.com/seed-0226adef/memo/store"
)

func TestFailuresRememberedAreBounded(t *testing.T) {
	var s shard
	for i := range maxFailing + 100 {
		s.fails(&entry.Entry{Item: tier.Item{Key: strconv.Itoa(i)}, Location: &entry.Location{Token: store.NewToken()}}, 0)
	}
	if got := len(s.failing); got > maxFailing {
		t.Errorf("the failures of %d results are remembered, want at most %d", got, maxFailing)
	}
}
