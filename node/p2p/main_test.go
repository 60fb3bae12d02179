package p2p

import (
	"testing"

	"go.uber.org/goleak"
)

// TestMain fails when anything outlives the hosts that the tests closed.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
