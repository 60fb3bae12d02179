package device_test

import (
	"errors"
	"fmt"

	"github.com/zetagrid/zetagrid/cuda/device"
)

// A failure says what kind it is, and whether the device can go on.
func ExampleError() {
	for _, err := range []error{
		&device.Error{Kind: device.ErrOutOfMemory, Code: 2, Name: "OutOfMemory", Doing: "allocation of 4096 bytes"},
		&device.Error{Kind: device.ErrHung, Doing: "kernel norm"},
	} {
		fmt.Println(err)
		fmt.Println(errors.Is(err, device.ErrOutOfMemory), device.Fatal(err))
	}
	// Output:
	// device: out of memory: allocation of 4096 bytes: OutOfMemory (2)
	// true false
	// device: a kernel did not end in time: kernel norm
	// false true
}
