package quant_test

import (
	"crypto/sha256"
	"encoding/hex"
	"math"
	"testing"

	"github.com/zetagrid/zetagrid/tcn/quant"
)

// TestSigns holds the published rule: trainers elsewhere compute the same.
func TestSigns(t *testing.T) {
	for _, want := range []struct {
		seed                uint64
		layer, matrix, cols int
		signs               string
	}{
		{quant.DefaultSeed, 0, quant.MatrixIn, 64, "e72a0fecf83b23dd"},
		{quant.DefaultSeed, 0, quant.MatrixOut, 64, "8d245cbf577d1f8b"},
		{quant.DefaultSeed, 5, quant.MatrixIn, 64, "c5d83d1890e7e1e1"},
		{2, 0, quant.MatrixIn, 64, "cf5220cf44d96a51"},
		{quant.DefaultSeed, 511, quant.MatrixOut, 13, "b40c"},
		{math.MaxUint64, 3, quant.MatrixOut, 24, "df1320"},
	} {
		got := hex.EncodeToString(quant.Signs(want.seed, want.layer, want.matrix, want.cols))
		if got != want.signs {
			t.Errorf("seed %d layer %d matrix %d: %s, want %s", want.seed, want.layer, want.matrix, got, want.signs)
		}
	}
	sum := sha256.Sum256(quant.Signs(quant.DefaultSeed, 7, quant.MatrixOut, quant.MaxCols))
	if got := hex.EncodeToString(sum[:]); got != "58ab4215a9b7bb619ed1877bf5699420b82b0e46a9cc13ca3e8f6bba915c2be9" {
		t.Errorf("widest matrix: digest %s", got)
	}
}

// TestSignsFit: what the rule gives, a matrix takes.
func TestSignsFit(t *testing.T) {
	for _, cols := range []int{1, 7, 8, 9, 100} {
		if _, err := quant.MakeQ2(1, cols, quant.Signs(3, 1, quant.MatrixIn, cols)); err != nil {
			t.Errorf("%d columns: %v", cols, err)
		}
	}
}
