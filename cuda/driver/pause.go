package driver

import "time"

// How a stream is looked at until it is done: again and again at first, for as long as
// most Steps take, so that none of them is longer for being waited for; then with
// pauses that grow with the wait, so that they add little to it and waiting for long
// costs no processor.
const (
	spin      = 5 * time.Millisecond
	longPause = time.Millisecond
)

// pause is how long to wait before looking again after waited.
func pause(waited time.Duration) time.Duration {
	if waited < spin {
		return 0
	}
	return min(waited/64, longPause)
}
