package ptx_test

import (
	"fmt"

	"github.com/zetagrid/zetagrid/cuda/emulator/ptx"
)

// A text becomes numbered registers and resolved labels.
func Example() {
	m, err := ptx.Parse([]byte(`
.version 7.1
.target sm_80
.visible .entry wait(.param .b64 at)
{
	.reg .pred %p<2>;
	.reg .b64 %rd<3>;
	ld.param.u64 %rd1, [at];
again:
	ld.volatile.global.u64 %rd2, [%rd1+8];
	setp.eq.s64 %p1, %rd2, 0;
	@%p1 bra again;
	ret;
}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, f := range m.Functions {
		fmt.Println(f.Name, len(f.Registers), "registers")
		for _, in := range f.Code {
			fmt.Println(in.Line, in.Name, len(in.Operands))
		}
	}
	// Output:
	// wait 5 registers
	// 8 ld.param.u64 2
	// 10 ld.volatile.global.u64 2
	// 11 setp.eq.s64 3
	// 12 bra 1
	// 13 ret 0
}
