package memo_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0226adef/memo"
	"github.com/seed-0226adef/memo/internal/faultstore"
	"github.com/seed-0226adef/memo/store/memstore"
)

// The process heard of an invalidation elsewhere, but not of what it concerned: its
// own result, which the store had not taken, was trusted as long as a copy of which
// changes are reported.
func TestResultThatWasNotStoredIsTrustedForASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New(nil)
		var source versioned
		lossy := faultstore.New(s)
		a := memo.New(source.read, memo.Store(lossy.Notifying()), memo.Name("f"))
		b := memo.New(source.read, memo.Store(faultstore.New(s)), memo.Name("f"))
		a.Call(t.Context(), "warm") // epochs, subscription
		synctest.Wait()
		mend := lossy.Before(faultstore.Swap, faultstore.Fail(errors.New("lost")))
		if got, err := a.Call(t.Context(), "x"); got != 0 || err != nil {
			t.Fatalf("got %d, %v, want 0", got, err)
		}
		mend()
		want := source.Add(1)
		if err := b.Invalidate(t.Context(), "x"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if got, err := a.Call(t.Context(), "x"); got != want || err != nil {
			t.Errorf("a second later: got %d, %v, want %d", got, err, want)
		}
	})
}
