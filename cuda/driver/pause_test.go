package driver

import (
	"testing"
	"time"
)

// Looking at a stream costs little beside the wait, and adds little to it.
func TestPause(t *testing.T) {
	if pause(0) != 0 || pause(spin-1) != 0 {
		t.Error("a pause within the first moments")
	}
	before := time.Duration(0)
	for waited := spin; waited < time.Minute; waited += waited / 8 {
		p := pause(waited)
		if p <= 0 || p > longPause || p > waited/64 || p < before {
			t.Errorf("pause(%v) = %v after %v", waited, p, before)
		}
		before = p
	}
}
