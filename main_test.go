package memo_test

import (
	"testing"

	"go.uber.org/goleak"
)

// TestMain fails the package if any goroutine outlives the tests, the coarse
// clock's included.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
