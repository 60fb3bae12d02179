package wire

import (
	"fmt"
	"testing"
)

// codes is the list as peers of any version know it. Append to it; an entry that
// changes breaks the protocol.
var codes = []struct {
	number Code
	name   string
}{
	{1, "malformed frame"},
	{2, "unknown model"},
	{3, "unknown Soul"},
	{4, "range not served here"},
	{5, "no free slot"},
	{6, "no memory for the state"},
	{7, "unknown epoch"},
	{8, "rows from a peer the gateway did not name"},
	{9, "rows out of order"},
	{10, "window exceeded"},
	{11, "row is not finite"},
	{12, "device failed"},
	{13, "next hop cannot be reached"},
	{14, "node is shutting down"},
	{15, "session idle for too long"},
	{16, "previous hop lost"},
}

func TestCodesNeverChange(t *testing.T) {
	for i, c := range codes {
		if c.number != Code(i+1) {
			t.Errorf("the list skips from %d to %d", i, c.number)
		}
		if got := c.number.String(); got != c.name {
			t.Errorf("code %d is %q, was %q", c.number, got, c.name)
		}
	}
	if int(codeEnd) != len(codes)+1 {
		t.Errorf("%d codes, %d in this test's list: append the new ones", codeEnd-1, len(codes))
	}
}

// TestUnknownCodes: what a newer peer says still has a name.
func TestUnknownCodes(t *testing.T) {
	for _, code := range []Code{0, codeEnd, 1<<32 - 1} {
		if got, want := code.String(), fmt.Sprintf("refusal %d", uint32(code)); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// TestKindsNeverChange pins the numbers of the kinds.
func TestKindsNeverChange(t *testing.T) {
	for number, kind := range []Kind{0, KindOpen, KindOpened, KindRefused, KindAttach, KindRows, kindEnd} {
		if kind != Kind(number) {
			t.Errorf("kind %d was %d", kind, number)
		}
	}
}
