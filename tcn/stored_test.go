package tcn

import (
	"testing"

	"github.com/zetagrid/zetagrid/tcn/quant"
)

// foreignMatrix is a Matrix that this package did not make.
type foreignMatrix struct{ Matrix }

// TestStoredOfIsWhatTheMatrixComputesWith: the very weights, of every form, and
// nothing for a Matrix of another package.
func TestStoredOfIsWhatTheMatrixComputesWith(t *testing.T) {
	floats := []float32{1, 2, 3, 4, 5, 6}
	f32, err := NewMatrixF32(2, 3, floats)
	if err != nil {
		t.Fatal(err)
	}
	q2, err := quant.MakeQ2(2, 3, []byte{0})
	if err != nil {
		t.Fatal(err)
	}
	q8 := eighths(t, 2, 3)
	if s, ok := StoredOf(f32); !ok || len(s.F32) != 6 || &s.F32[0] != &floats[0] || s.Q2 != nil || s.Q8 != nil {
		t.Errorf("float32: %v, %v", s, ok)
	}
	if s, ok := StoredOf(NewMatrixQ2(q2)); !ok || s.Q2 != q2 || s.F32 != nil || s.Q8 != nil {
		t.Errorf("2-bit: %v, %v", s, ok)
	}
	if s, ok := StoredOf(NewMatrixQ8(q8)); !ok || s.Q8 != q8 || s.F32 != nil || s.Q2 != nil {
		t.Errorf("8-bit: %v, %v", s, ok)
	}
	for _, m := range []Matrix{nil, foreignMatrix{f32}, &foreignMatrix{f32}} {
		if s, ok := StoredOf(m); ok || s.F32 != nil || s.Q2 != nil || s.Q8 != nil {
			t.Errorf("%T: %v, %v", m, s, ok)
		}
	}
}
