package train

import "golang.org/x/sys/unix"

// processorClock counts the nanoseconds that this thread computed: on a machine
// shared with others, what a benchmark can be told by.
func processorClock() int64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		panic(err) // Linux has had it since 2.6
	}
	return t.Nano()
}
