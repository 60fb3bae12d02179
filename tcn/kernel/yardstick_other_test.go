//go:build !amd64 && !arm64

package kernel

type yardstick struct {
	lanes           int
	multiplyAddPeak func(rounds int)
	readMemory      func(p *float32, blocks int)
}

func yardstickOf(string) (yardstick, bool) { return yardstick{}, false }
