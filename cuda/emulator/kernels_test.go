package emulator_test

import (
	"testing"

	"github.com/zetagrid/zetagrid/cuda/emulator"
	"github.com/zetagrid/zetagrid/cuda/kernels"
)

// Every kernel of the stage loads.
func TestKernelsLoad(t *testing.T) {
	if _, err := kernels.Load(emulator.New(emulator.Options{})); err != nil {
		t.Fatal(err)
	}
}
