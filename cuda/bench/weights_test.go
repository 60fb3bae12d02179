package bench

import (
	"math"
	"testing"

	"github.com/zetagrid/zetagrid/cuda"
	"github.com/zetagrid/zetagrid/cuda/device"
	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/plan"
)

// TestWeights: random models are valid, and their rows stay finite and near unit
// size over many Steps, whatever Soul is worn.
func TestWeights(t *testing.T) {
	c := small(t).Model
	c.DModel, c.DFF, c.Layers = 64, 256, 16
	w, err := newWeights(c, 2, soulRank)
	if err != nil {
		t.Fatal(err)
	}
	stage, err := tcn.NewCPU(nil).Load(c, c.All(), w.blocks)
	if err != nil {
		t.Fatal(err)
	}
	var rows [][]float32
	for _, v := range w.variants() {
		if err := v.Validate(c); err != nil {
			t.Fatal(err)
		}
		state, err := stage.NewState(c.All(), 0)
		if err != nil {
			t.Fatal(err)
		}
		work := &tcn.Work{State: state, Variant: v}
		for p := range 50 {
			work.Rows = tcn.Rows{Position: p, Count: 1, Data: rowsOf(1, c.DModel)}
			if err := stage.Step([]*tcn.Work{work}); err != nil || work.Err != nil {
				t.Fatal(err, work.Err)
			}
		}
		rows = append(rows, work.Rows.Data)
	}
	sum, apart := 0.0, 0.0
	for i, x := range rows[0] {
		sum += float64(x) * float64(x)
		apart = max(apart, math.Abs(float64(x-rows[1][i])))
	}
	if size := math.Sqrt(sum / float64(c.DModel)); size < 0.1 || size > 100 {
		t.Errorf("rows of size %v", size)
	}
	if apart == 0 {
		t.Error("Souls make no difference")
	}
}

// TestWeightsAreApart: a device holds every matrix, though the host holds few bytes.
func TestWeightsAreApart(t *testing.T) {
	c := small(t).Model
	c.DModel, c.DFF, c.Layers = 64, 256, 16
	w, err := newWeights(c, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	needs, err := cuda.NeedsOf(c, c.All(), w.blocks, cuda.Options{})
	if err != nil || needs.Weights < c.Parameters().Matrices/4 {
		t.Errorf("%+v, %v, want at least %d bytes of weights", needs, err, c.Parameters().Matrices/4)
	}
}

func TestKindOf(t *testing.T) {
	for _, c := range []struct {
		name string
		gb   float64
		want string
	}{
		{"NVIDIA H100 80GB HBM3", 85.5, "h100-80"},
		{"NVIDIA H100 PCIe", 85.5, "h100-pcie-80"},
		{"NVIDIA H200", 150.7, "h200-141"},
		{"NVIDIA A100-SXM4-40GB", 42.4, "a100-40"},
		{"NVIDIA A100-SXM4-80GB", 85.0, "a100-80"},
		{"NVIDIA L40S", 47.7, "l40s-48"},
		{"NVIDIA L4", 24.2, "l4-24"},
		{"NVIDIA GeForce RTX 4090", 25.4, "rtx4090-24"},
		{"NVIDIA RTX A4000", 16.9, ""},
		{"emulator", 80, ""},
		{"", 80, ""},
	} {
		got, ok := KindOf(plan.DefaultTable(), device.Info{Name: c.name, Memory: int64(c.gb * 1e9)})
		if got.Name != c.want || ok != (c.want != "") {
			t.Errorf("%s of %v GB is %q, want %q", c.name, c.gb, got.Name, c.want)
		}
	}
}

// TestBlockTimes: between measured rows the time is on a straight line, and it
// never falls.
func TestBlockTimes(t *testing.T) {
	var b blockTimes
	for _, m := range [][2]float64{{1, 2}, {2, 1.9}, {4, 3}, {8, 5}} {
		b.add(int(m[0]), m[1])
	}
	for rows, want := range map[int]float64{1: 2, 2: 2, 3: 2.5, 4: 3, 6: 4, 8: 5, 16: 10} {
		if got := b.of(rows); got != want {
			t.Errorf("%d rows take %v, want %v", rows, got, want)
		}
	}
}

func TestDoubling(t *testing.T) {
	for most, want := range map[int]int{1: 1, 2: 2, 3: 3, 8: 4, 32: 6, 33: 7} {
		n, last := 0, 0
		for rows := range doubling(most) {
			if rows <= last {
				t.Errorf("%d after %d", rows, last)
			}
			n, last = n+1, rows
		}
		if n != want || last != most {
			t.Errorf("to %d: %d steps, the last %d", most, n, last)
		}
	}
}
