package emulator_test

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/zetagrid/zetagrid/cuda/device"
	"github.com/zetagrid/zetagrid/cuda/emulator"
)

// Every thread writes its own number, doubled.
const double = `
.version 7.1
.target sm_80
.address_size 64
.visible .entry double(.param .align 8 .b8 args[8])
{
	.reg .b32 %r<3>;
	.reg .b64 %rd<4>;
	ld.param.u64 %rd1, [args];
	cvta.to.global.u64 %rd2, %rd1;
	mov.u32 %r1, %tid.x;
	shl.b32 %r2, %r1, 1;
	mul.wide.u32 %rd3, %r1, 4;
	add.s64 %rd3, %rd2, %rd3;
	st.global.u32 [%rd3], %r2;
	ret;
}`

// A device runs a kernel; what the kernel must not do is an error.
func Example() {
	d := emulator.New(emulator.Options{})
	defer func() { _ = d.Close() }()
	at, err := d.Allocate(4 * 4)
	if err != nil {
		fmt.Println(err)
		return
	}
	module, err := d.Load([]byte(double))
	if err != nil {
		fmt.Println(err)
		return
	}
	f, err := module.Function("double")
	if err != nil {
		fmt.Println(err)
		return
	}
	s, err := d.NewStream()
	if err != nil {
		fmt.Println(err)
		return
	}
	args := binary.LittleEndian.AppendUint64(nil, uint64(at))
	out := make([]byte, 4*4)
	for _, threads := range []int{4, 5} {
		l := device.Launch{Grid: [3]int{1, 1, 1}, Block: [3]int{threads, 1, 1}, Args: args}
		if err := s.Launch(f, l); err != nil {
			fmt.Println(err)
		}
		if err := s.CopyOut(out, at); err != nil {
			fmt.Println(err)
		}
		fmt.Println(s.Wait(time.Second), out)
	}
	// Output:
	// <nil> [0 0 0 0 2 0 0 0 4 0 0 0 6 0 0 0]
	// device: illegal access: kernel double, line 15, block 0,0,0, thread 4,0,0: st.global.u32: 4 bytes at 0x102fffffe10, 16 bytes into an allocation of 16: IllegalAddress (700) [0 0 0 0 2 0 0 0 4 0 0 0 6 0 0 0]
}
