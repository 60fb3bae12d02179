package node

import (
	"errors"
	"fmt"
	"testing"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/zetagrid/zetagrid/node/session"
	"github.com/zetagrid/zetagrid/node/wire"
)

// TestTooManyStreamsIsNoLostHop: a caller who may try again at once is told
// another thing than one whose hop is gone.
func TestTooManyStreamsIsNoLostHop(t *testing.T) {
	full := fmt.Errorf("stage stream: %w", network.ErrResourceLimitExceeded)
	gone := errors.New("no route")
	for _, c := range []struct {
		err  error
		code wire.Code
		told session.Input
	}{
		{full, wire.CodeNoSlot, session.Refused{Hop: 2, Code: wire.CodeNoSlot, Text: full.Error()}},
		{gone, wire.CodeNextHop, session.HopLost{Hop: 2, Reason: gone.Error()}},
	} {
		if got := nextHopCode(c.err); got != c.code {
			t.Errorf("%v: a hop says %q, want %q", c.err, got, c.code)
		}
		if got := hopLost(2, c.err); got != c.told {
			t.Errorf("%v: a gateway hears %#v, want %#v", c.err, got, c.told)
		}
	}
}
