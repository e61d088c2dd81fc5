package bubble

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestInsideIsTrueInABubbleAtAnyTime(t *testing.T) {
	if Inside() {
		t.Error("outside of all bubbles: got true")
	}
	synctest.Test(t, func(t *testing.T) {
		for range 3 {
			if !Inside() {
				t.Errorf("in a bubble, %v: got false", time.Now())
			}
			time.Sleep(20 * 365 * 24 * time.Hour)
		}
	})
}
