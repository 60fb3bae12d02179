package kernel

import (
	"encoding/binary"
	"runtime"
)

// Yardsticks: what the machine can do at best, to set beside what the operations
// reach. They do nothing else.

// ReadMemory reads p from one end to the other as fast as one processor can.
func ReadMemory(p []byte) {
	if n := len(p) / readBytes; n > 0 && readBlocks != nil {
		readBlocks(p, n)
		p = p[n*readBytes:]
	}
	sum := uint64(0)
	for ; len(p) >= 32; p = p[32:] {
		sum += binary.LittleEndian.Uint64(p) + binary.LittleEndian.Uint64(p[8:]) +
			binary.LittleEndian.Uint64(p[16:]) + binary.LittleEndian.Uint64(p[24:])
	}
	runtime.KeepAlive(sum) // so that the sum is needed
}

// DotPeak multiplies int8 numbers in registers, 1,024 a round, with the widest
// instruction for dot products of bytes that one processor has. ok is false if it
// has none, or none that is used here.
func DotPeak(rounds int) (multiplications int64, ok bool) { return dots(dotRounds, rounds) }

// MaskedDotPeak is DotPeak with a mask for each of its instructions, as a product
// of 2-bit codes with one row needs: where masks and dot products share the same
// units, it is the most that such a product can reach.
func MaskedDotPeak(rounds int) (multiplications int64, ok bool) { return dots(maskedDotRounds, rounds) }

func dots(run func(rounds int), rounds int) (multiplications int64, ok bool) {
	if run == nil || rounds < 1 {
		return 0, false
	}
	run(rounds)
	return 1024 * int64(rounds), true
}
