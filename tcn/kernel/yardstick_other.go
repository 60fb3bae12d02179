//go:build !amd64 && !arm64

package kernel

const readBytes = 512

var (
	readBlocks                 func(p []byte, n int)
	dotRounds, maskedDotRounds func(rounds int)
)
