package main

import (
	"os"

	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/kernel"
)

// kernelVariable names the environment variable that forces a kernel set.
const kernelVariable = "ZETAGRID_CPU"

// deviceFlags choose what computes.
type deviceFlags struct {
	Device string `default:"cpu" enum:"cpu" placeholder:"DEVICE" help:"What computes: cpu. ZETAGRID_CPU=portable, avx2 or avx512 forces its instruction level; the answer is the same."`
}

// compute is the processor's kernels and workers, and what to call when nothing
// uses them any more.
func (deviceFlags) compute() (*tcn.Compute, func(), error) {
	set, err := kernelSet()
	if err != nil {
		return nil, nil, err
	}
	pool := kernel.NewPool(0)
	return &tcn.Compute{Kernels: set, Pool: pool}, pool.Close, nil
}

// kernelSet is the fastest set of this machine, or the one asked for.
func kernelSet() (*kernel.Set, error) {
	name := os.Getenv(kernelVariable)
	if name == "" {
		return kernel.Best(), nil
	}
	set, err := kernel.Named(name)
	if err != nil {
		return nil, &remedy{err, "unset " + kernelVariable + " or name one of these"}
	}
	return set, nil
}
