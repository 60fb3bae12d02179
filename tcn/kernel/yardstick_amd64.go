package kernel

import (
	"unsafe"

	"golang.org/x/sys/cpu"
)

// readBytes is the bytes of a block of readBlocks.
const readBytes = 512

// readBlocks reads n blocks; nil where there is no assembly for it.
var readBlocks = func() func(p []byte, n int) {
	switch {
	case cpu.X86.HasAVX512F:
		return func(p []byte, n int) { readMemoryAVX512((*float32)(unsafe.Pointer(&p[0])), n) }
	case cpu.X86.HasAVX2:
		return func(p []byte, n int) { readMemoryAVX2((*float32)(unsafe.Pointer(&p[0])), 2*n) }
	}
	return nil
}()

// The loops of DotPeak and MaskedDotPeak; nil where there are none.
var dotRounds, maskedDotRounds = func() (plain, masked func(rounds int)) {
	if cpu.X86.HasAVX512F && cpu.X86.HasAVX512VNNI {
		return dotPeakVNNI, maskedDotPeakVNNI
	}
	return nil, nil
}()
