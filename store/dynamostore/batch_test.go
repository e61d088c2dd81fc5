package dynamostore

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestBatchThatDynamoDBNeverCarriesOutIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start, calls := time.Now(), 0
		err := drain(t.Context(), []int{1, 2, 3}, func(batch []int) ([]int, error) {
			calls++
			if calls == maxIdle { // some progress, so that it begins to count again
				return batch[1:], nil
			}
			return batch, nil
		})
		if want := 2 * maxIdle; calls != want {
			t.Errorf("asked %d times, want %d", calls, want)
		}
		if want := "DynamoDB leaves all keys of a batch unprocessed: 2 of them, 8 times in a row"; err == nil || err.Error() != want {
			t.Errorf("error = %v, want %q", err, want)
		}
		// Twice 20, 40, ... 640 ms and a second for the seventh, less up to half.
		if took := time.Since(start); took < 2*time.Second || took > 5*time.Second {
			t.Errorf("it took %v, want pauses that double", took)
		}
	})
}

func TestContextEndsAPauseAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		start := time.Now()
		if err := pause(ctx, time.Minute); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("pause = %v, want context.DeadlineExceeded", err)
		}
		if took := time.Since(start); took > time.Millisecond {
			t.Errorf("it took %v, want 1ms", took)
		}
	})
}
