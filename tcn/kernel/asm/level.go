package main

import (
	"math"

	"github.com/mmcloughlin/avo/attr"
	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// shape is the size of a register tile of MatMul: input rows by weight rows.
type shape struct{ in, weight int }

// level is an instruction level.
type level struct {
	suffix string // of every function's name
	lanes  int    // float32 numbers in a register
	tiles  []shape
}

// The tiles use most of the registers for accumulators: 32 lanes are two
// 512-bit or four 256-bit registers per product of an input and a weight row.
var levels = map[string]*level{
	"avx512": {suffix: "AVX512", lanes: 16, tiles: []shape{{1, 1}, {1, 4}, {2, 4}, {3, 3}, {4, 3}}},
	"vnni":   {suffix: "VNNI", lanes: 16},
	"avx2":   {suffix: "AVX2", lanes: 8, tiles: []shape{{1, 1}, {1, 3}, {2, 1}, {3, 1}}},
}

// bytes is the size of a register.
func (l *level) bytes() int { return 4 * l.lanes }

// wide reports whether the level has 512-bit registers and mask registers.
func (l *level) wide() bool { return l.lanes == 16 }

// vector returns a fresh register.
func (l *level) vector() reg.VecVirtual {
	if l.wide() {
		return ZMM()
	}
	return YMM()
}

// zero sets v to +0 in every lane.
func (l *level) zero(v reg.VecVirtual) { VXORPS(v, v, v) }

// constant returns a read-only memory operand with the number in every lane of
// a register.
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

var constants = map[string]operand.Mem{}

// mover loads and stores registers: whole, or only the first lanes of them.
type mover struct {
	load  func(m operand.Mem, v reg.VecVirtual)
	store func(v reg.VecVirtual, m operand.Mem)
	// times returns the product of memory and a register.
	times func(m operand.Mem, v reg.VecVirtual) reg.VecVirtual
}

// whole moves all lanes.
func (l *level) whole() mover {
	return mover{
		load:  func(m operand.Mem, v reg.VecVirtual) { VMOVUPS(m, v) },
		store: func(v reg.VecVirtual, m operand.Mem) { VMOVUPS(v, m) },
		times: func(m operand.Mem, v reg.VecVirtual) reg.VecVirtual {
			product := l.vector()
			VMULPS(m, v, product)
			return product
		},
	}
}

// masked moves the lanes that mask selects; a load makes the others +0 and a
// store leaves their memory alone. Memory of other lanes is not touched.
func (l *level) masked(mask reg.Register) mover {
	move := mover{
		load:  func(m operand.Mem, v reg.VecVirtual) { VMASKMOVPS(m, mask, v) },
		store: func(v reg.VecVirtual, m operand.Mem) { VMASKMOVPS(v, mask, m) },
	}
	if l.wide() {
		move.load = func(m operand.Mem, v reg.VecVirtual) { VMOVUPS_Z(m, mask, v) }
		move.store = func(v reg.VecVirtual, m operand.Mem) { VMOVUPS(v, mask, m) }
	}
	move.times = func(m operand.Mem, v reg.VecVirtual) reg.VecVirtual {
		product := l.vector()
		move.load(m, product)
		VMULPS(v, product, product)
		return product
	}
	return move
}

// firstLanes returns one mask per register of a group of groupLanes lanes, which
// together select the first count lanes of the group. There is no room to hold
// four masks in 256-bit registers, so each is a function that loads it.
func (l *level) firstLanes(count reg.GPVirtual, groupLanes int) []func() reg.Register {
	if l.wide() {
		bits := GP64()
		one := GP64()
		MOVQ(count, reg.RCX)
		MOVQ(operand.U32(1), one)
		SHLQ(reg.CL, one)
		LEAQ(operand.Mem{Base: one, Disp: -1}, bits)
		masks := make([]func() reg.Register, groupLanes/l.lanes)
		for i := range masks {
			k := K()
			KMOVW(bits.As32(), k)
			if i+1 < len(masks) {
				SHRQ(operand.U8(l.lanes), bits)
			}
			masks[i] = func() reg.Register { return k }
		}
		return masks
	}
	// A window on a table of 32 words of ones and 32 of zeros, placed so that
	// it begins with count words of ones.
	table := l.maskTable()
	window := GP64()
	LEAQ(table.Offset(4*32), window)
	shift := GP64()
	MOVQ(count, shift)
	SHLQ(operand.U8(2), shift)
	SUBQ(shift, window)
	masks := make([]func() reg.Register, groupLanes/l.lanes)
	for i := range masks {
		masks[i] = func() reg.Register {
			v := YMM()
			VMOVUPS(operand.Mem{Base: window, Disp: l.bytes() * i}, v)
			return v
		}
	}
	return masks
}

func (l *level) maskTable() operand.Mem {
	const name = "maskTable"
	if m, ok := constants[name]; ok {
		return m
	}
	m := GLOBL(name, attr.RODATA|attr.NOPTR)
	for i := range 64 {
		bits := uint32(math.MaxUint32)
		if i >= 32 {
			bits = 0
		}
		DATA(4*i, operand.U32(bits))
	}
	constants[name] = m
	return m
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
