package driver

import "time"

// How a stream is looked at until it is done: without a pause at first, for that is
// how long a Step's last kernels take; then with pauses that grow with the wait, so
// that they add little to it and waiting for long costs no processor.
const (
	spin       = 100 * time.Microsecond
	shortPause = 20 * time.Microsecond
	longPause  = time.Millisecond
)

// pause is how long to wait before looking again after waited.
func pause(waited time.Duration) time.Duration {
	if waited < spin {
		return 0
	}
	return min(max(waited/16, shortPause), longPause)
}
