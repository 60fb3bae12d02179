//go:build !linux

package train

import "time"

var clockBegan = time.Now()

// processorClock counts nanoseconds, since there is no clock of a thread here.
func processorClock() int64 { return int64(time.Since(clockBegan)) }
