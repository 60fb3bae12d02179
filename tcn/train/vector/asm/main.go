// Command asm writes the assembly of package vector for one instruction level:
//
//	go run . -level avx512 -out ../avx512_amd64.s -stubs ../avx512_amd64.go -pkg vector
//
// It is a module of its own so that the product does not depend on avo. The
// package's go:generate lines run it, and check.sh tells whether the committed
// files are what it writes.
//
// Training may be fast rather than exact: products are fused with additions, and
// sums have as many lanes as suit the registers.
package main

import (
	"flag"
	"log"
	"math"

	"github.com/mmcloughlin/avo/attr"
	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// level is an instruction level.
type level struct {
	suffix  string // of every function's name
	lanes   int    // float32 numbers in a register
	columns int    // registers of a tile's columns
	rows    []int  // of the tiles
}

var levels = map[string]*level{
	"avx512": {suffix: "AVX512", lanes: 16, columns: 2, rows: []int{12, 4, 1}},
	"avx2":   {suffix: "AVX2", lanes: 8, columns: 2, rows: []int{6, 1}},
}

func main() {
	name := flag.String("level", "", "instruction level: avx2 or avx512")
	flag.Parse()
	l, ok := levels[*name]
	if !ok {
		log.Fatalf("-level %q: want avx2 or avx512", *name)
	}
	ConstraintExpr("amd64")
	for _, rows := range l.rows {
		tile(l, rows)
	}
	rowOperations(l)
	gate(l)
	gateBackward(l)
	exponentials(l)
	fusedPeak(l)
	Generate()
}

// bytes is the size of a register.
func (l *level) bytes() int { return 4 * l.lanes }

// wide reports whether the level has 512-bit registers.
func (l *level) wide() bool { return l.lanes == 16 }

// vector returns a fresh register.
func (l *level) vector() reg.VecVirtual {
	if l.wide() {
		return ZMM()
	}
	return YMM()
}

// zeroed returns a fresh register of zeros.
func (l *level) zeroed() reg.VecVirtual {
	v := l.vector()
	VXORPS(v, v, v)
	return v
}

// load returns a fresh register of what lies at m.
func (l *level) load(m operand.Mem) reg.VecVirtual {
	v := l.vector()
	VMOVUPS(m, v)
	return v
}

var constants = map[string]operand.Mem{}

// constant returns read-only memory with the number in every lane.
func (l *level) constant(name string, v float32) operand.Mem {
	return l.constantBits(name, math.Float32bits(v))
}

func (l *level) constantBits(name string, bits uint32) operand.Mem {
	full := name + l.suffix
	if m, ok := constants[full]; ok {
		return m
	}
	m := GLOBL(full, attr.RODATA|attr.NOPTR)
	for i := range l.lanes {
		DATA(4*i, operand.U32(bits))
	}
	constants[full] = m
	return m
}

// broadcast loads a float32 argument into every lane.
func (l *level) broadcast(name string) reg.VecVirtual {
	a, err := Param(name).Resolve()
	if err != nil {
		panic(err)
	}
	v := l.vector()
	VBROADCASTSS(a.Addr, v)
	return v
}

// function begins a function of the level.
func (l *level) function(name, signature, doc string) {
	TEXT(name+l.suffix, attr.NOSPLIT, signature)
	Pragma("noescape")
	Doc(name + l.suffix + " " + doc)
}

// end leaves the upper halves of the registers clean and returns.
func end() {
	VZEROUPPER()
	RET()
}

// parameter loads an argument that fills a general register.
func parameter(name string) reg.GPVirtual {
	return Load(Param(name), GP64()).(reg.GPVirtual)
}

// at is the memory offset bytes behind base.
func at(base reg.Register, offset int) operand.Mem {
	return operand.Mem{Base: base, Disp: offset}
}

// eachVector writes a loop over n numbers, a multiple of the lanes; body handles
// the register that lies offset bytes behind the pointers' starts.
func (l *level) eachVector(n reg.GPVirtual, body func(offset reg.GPVirtual)) {
	offset := GP64()
	XORQ(offset, offset)
	SHLQ(operand.U8(2), n)
	JMP(operand.LabelRef("test"))
	Label("loop")
	body(offset)
	ADDQ(operand.U8(l.bytes()), offset)
	Label("test")
	CMPQ(offset, n)
	JLT(operand.LabelRef("loop"))
}

// indexed is the register of a row that begins at base.
func indexed(base, offset reg.GPVirtual) operand.Mem {
	return operand.Mem{Base: base, Index: offset, Scale: 1}
}

// total adds the lanes of v up and stores the sum as the result.
func (l *level) total(v reg.VecVirtual) {
	low := v.AsX()
	if l.wide() {
		high := YMM()
		VEXTRACTF64X4(operand.U8(1), v, high)
		VADDPS(high, v.AsY(), v.AsY())
	}
	high := XMM()
	VEXTRACTF128(operand.U8(1), v.AsY(), high)
	VADDPS(high, low, low)
	VPERMILPS(operand.U8(0x4e), low, high)
	VADDPS(high, low, low)
	VPERMILPS(operand.U8(0xb1), low, high)
	VADDPS(high, low, low)
	Store(low, ReturnIndex(0))
}
