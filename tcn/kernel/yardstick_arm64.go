package kernel

import "unsafe"

// readBytes is the bytes of a block of readBlocks.
const readBytes = 512

// readBlocks reads n blocks.
var readBlocks = func(p []byte, n int) { readMemoryNEON((*float32)(unsafe.Pointer(&p[0])), n) }

// The loops of DotPeak and MaskedDotPeak; nil where there are none.
var dotRounds, maskedDotRounds = func() (plain, masked func(rounds int)) {
	if hasDotProducts() {
		return dotPeakNEON, maskedDotPeakNEON
	}
	return nil, nil
}()
