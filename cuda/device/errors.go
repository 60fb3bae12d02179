package device

import (
	"errors"
	"fmt"
)

// What kind of failure an [Error] is.
var (
	// ErrNotBuilt: this program was built without the tag cuda.
	ErrNotBuilt = errors.New("device: this program was built without CUDA")
	// ErrNoDriver: there is no CUDA driver here, or it does not answer.
	ErrNoDriver = errors.New("device: no CUDA driver")
	// ErrNoDevice: the driver has no device of this number.
	ErrNoDevice = errors.New("device: no such CUDA device")
	// ErrUnsupported: the device or driver cannot do what was asked.
	ErrUnsupported = errors.New("device: not supported")
	// ErrOutOfMemory: the device's memory, or pinned memory, does not suffice.
	ErrOutOfMemory = errors.New("device: out of memory")
	// ErrIllegalAccess: a kernel touched memory or ran code that it must not.
	ErrIllegalAccess = errors.New("device: illegal access")
	// ErrHung: a kernel did not end in time.
	ErrHung = errors.New("device: a kernel did not end in time")
	// ErrLost: the device failed or is gone; every other failure, too.
	ErrLost = errors.New("device: device lost")
	// ErrClosed: the device was closed.
	ErrClosed = errors.New("device: closed")
)

// Error is a failure of a device.
type Error struct {
	Kind  error  // one of the above
	Code  int    // the driver's number for it; 0 without one
	Name  string // the driver's name for it; "" without one
	Doing string // "copy of 4096 bytes to the device", "kernel norm"
}

func (e *Error) Error() string {
	if e.Name == "" {
		return fmt.Sprintf("%v: %s", e.Kind, e.Doing)
	}
	return fmt.Sprintf("%v: %s: %s (%d)", e.Kind, e.Doing, e.Name, e.Code)
}

func (e *Error) Unwrap() error { return e.Kind }

// Fatal reports whether a device that failed with err computes nothing any more.
func Fatal(err error) bool {
	return errors.Is(err, ErrIllegalAccess) || errors.Is(err, ErrHung) || errors.Is(err, ErrLost) || errors.Is(err, ErrClosed)
}
