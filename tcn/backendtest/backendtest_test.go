package backendtest_test

import (
	"fmt"
	"testing"

	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/backendtest"
	"github.com/zetagrid/zetagrid/tcn/kernel"
)

// TestCPU runs the suite on the normative kernels alone and on every other
// instruction level with helpers.
func TestCPU(t *testing.T) {
	for _, set := range kernel.Available() {
		t.Run(set.Name, func(t *testing.T) {
			if testing.Short() && set.Name != kernel.Best().Name {
				t.Skip("short: the best level only")
			}
			t.Parallel()
			compute := &tcn.Compute{Kernels: set}
			if set.Name != "portable" {
				compute.Pool = kernel.NewPool(3)
				t.Cleanup(compute.Pool.Close)
			}
			backendtest.Run(t, tcn.NewCPU(compute))
		})
	}
}

// TestDigestsAreOfCases keeps the table free of what no case checks.
func TestDigestsAreOfCases(t *testing.T) {
	names := map[string]bool{}
	for _, c := range backendtest.Cases() {
		names[c.Name] = true
	}
	if len(names) != len(backendtest.Cases()) {
		t.Error("two cases have one name")
	}
	for name := range backendtest.Digests {
		if !names[name] {
			t.Errorf("digest of %s, which is no case", name)
		}
	}
}

func ExampleRandomModel() {
	c := backendtest.Cases()[0]
	m := c.Model()
	fmt.Println(c.Name, "has", len(m.Blocks), "blocks, the last of", len(m.Blocks[5].Layers), "layers")
	digest, err := backendtest.Digest(tcn.NewCPU(nil), c)
	fmt.Println(digest == backendtest.Digests[c.Name], err)
	// Output:
	// release-f32-0souls-r[1] has 6 blocks, the last of 2 layers
	// true <nil>
}

// TestGoldenDigests: every instruction level of this machine, with helpers and
// without, computes the committed digests; also where TestCPU is cut short.
func TestGoldenDigests(t *testing.T) {
	pool := kernel.NewPool(1)
	defer pool.Close()
	for _, set := range kernel.Available() {
		t.Run(set.Name, func(t *testing.T) {
			for _, helpers := range []*kernel.Pool{nil, pool} {
				backend := tcn.NewCPU(&tcn.Compute{Kernels: set, Pool: helpers})
				if err := tcn.SelfCheck(backend); err != nil {
					t.Error(err)
				}
				for _, c := range backendtest.Cases() {
					got, err := backendtest.Digest(backend, c)
					if err != nil || got != backendtest.Digests[c.Name] {
						t.Errorf("%s: digest %s, error %v, want %s", c.Name, got, err, backendtest.Digests[c.Name])
					}
				}
			}
		})
	}
}
