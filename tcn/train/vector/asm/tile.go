package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// tile writes the function that computes rows rows of a panel's columns: all
// their sums stay in registers while it walks along the terms.
func tile(l *level, rows int) {
	l.function(fmt.Sprintf("tile%d", rows),
		"func(c *float32, cRow uintptr, a *float32, aRow, aTerm uintptr, b *float32, terms int, add bool)",
		fmt.Sprintf("computes %d rows of a panel; see tileFunc.", rows))
	a, aRow, aTerm := parameter("a"), parameter("aRow"), parameter("aTerm")
	b, terms := parameter("b"), parameter("terms")
	// A pointer for every three rows: the other two are reached with an index.
	pointers := []reg.GPVirtual{a}
	for first := 3; first < rows; first += 3 {
		p := GP64()
		LEAQ(operand.Mem{Base: pointers[len(pointers)-1], Index: aRow, Scale: 2}, p)
		ADDQ(aRow, p)
		pointers = append(pointers, p)
	}
	sums := make([][]reg.VecVirtual, rows)
	for i := range sums {
		for range l.columns {
			sums[i] = append(sums[i], l.zeroed())
		}
	}
	Comment("Ask for where the results go.")
	c, cRow, to := parameter("c"), parameter("cRow"), GP64()
	MOVQ(c, to)
	for range rows {
		for j := range l.columns * l.bytes() / 64 {
			PREFETCHT0(at(to, 64*j))
		}
		ADDQ(cRow, to)
	}

	Label("term")
	columns := make([]reg.VecVirtual, l.columns)
	for j := range columns {
		columns[j] = l.load(at(b, j*l.bytes()))
	}
	for i := range rows {
		m := operand.Mem{Base: pointers[i/3]}
		if i%3 > 0 {
			m.Index, m.Scale = aRow, uint8(i%3)
		}
		v := l.vector()
		VBROADCASTSS(m, v)
		for j, column := range columns {
			VFMADD231PS(column, v, sums[i][j])
		}
	}
	for _, p := range pointers {
		ADDQ(aTerm, p)
	}
	ADDQ(operand.U32(l.columns*l.bytes()), b)
	DECQ(terms)
	JNZ(operand.LabelRef("term"))

	add := GP8()
	Load(Param("add"), add)
	TESTB(add, add)
	JZ(operand.LabelRef("store"))
	from := GP64()
	MOVQ(c, from)
	for i := range rows {
		for j := range l.columns {
			VADDPS(at(from, j*l.bytes()), sums[i][j], sums[i][j])
		}
		ADDQ(cRow, from)
	}
	Label("store")
	for i := range rows {
		for j := range l.columns {
			VMOVUPS(sums[i][j], at(c, j*l.bytes()))
		}
		ADDQ(cRow, c)
	}
	end()
}

// fusedPeak writes a loop of fused multiply-adds that touches no memory: what the
// arithmetic units can do at best.
func fusedPeak(l *level) {
	const chains = 12
	l.function("fusedPeak", "func(rounds int)",
		"does 12 fused multiply-adds of whole registers per round, in registers only; a yardstick.")
	rounds := parameter("rounds")
	x := l.zeroed()
	sums := make([]reg.VecVirtual, chains)
	for i := range sums {
		sums[i] = l.zeroed()
	}
	Label("round")
	for _, sum := range sums {
		VFMADD231PS(x, x, sum)
	}
	DECQ(rounds)
	JNZ(operand.LabelRef("round"))
	end()
}
