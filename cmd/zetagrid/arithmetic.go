package main

import (
	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/kernel"
)

// checkArithmetic recomputes the golden digest.
func checkArithmetic(set *kernel.Set) check {
	backend := tcn.NewCPU(&tcn.Compute{Kernels: set})
	if err := tcn.SelfCheck(backend); err != nil {
		return fail("arithmetic", "force another level with "+kernelVariable+", and report this with zetagrid version", err)
	}
	return ok("arithmetic", "%s computes the golden digest %.16s…", backend.Name(), tcn.GoldenDigest)
}
