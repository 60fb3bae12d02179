package plan_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/zetagrid/zetagrid/tcn/plan"
)

func gpu(t *testing.T, name string) plan.GPU {
	t.Helper()
	g, err := plan.DefaultTable().GPU(name)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// TestScalingReport holds the tables of the scaling report, to the printed digit.
func TestScalingReport(t *testing.T) {
	gb := func(bytes int64, digits int) string { return fmt.Sprintf("%.*f", digits, float64(bytes)/1e9) }
	for _, c := range []struct {
		name       string
		parameters int64
		raw        string
		effective  [2]string
		total      [2]string // "" where the report prints none
		fitsOne    bool
		gpus       [4]int64 // least, baseline, production
	}{
		{"120B", 120e9, "30.0", [2]string{"30", "36"}, [2]string{"45.5", "57.5"}, true, [4]int64{1, 1, 2, 2}},
		{"1T", 1e12, "250.0", [2]string{"250", "300"}, [2]string{}, false, [4]int64{4, 6, 8, 9}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, err := plan.Upper(c.parameters, 2, 131072, gpu(t, "h100-80"))
			if err != nil {
				t.Fatal(err)
			}
			is := func(what, got, want string) {
				t.Helper()
				if got != want {
					t.Errorf("%s is %s, want %s", what, got, want)
				}
			}
			is("raw", gb(b.Raw, 1), c.raw)
			is("effective, low", gb(b.Effective.Low, 0), c.effective[0])
			is("effective, high", gb(b.Effective.High, 0), c.effective[1])
			is("overhead", gb(b.Overhead.Low, 0)+" to "+gb(b.Overhead.High, 0), "6 to 12")
			for i, want := range []string{"0.59", "2.36", "9.44"} {
				is(fmt.Sprint("state at ", b.States[i].Context), gb(b.States[i].Bytes, 2), want)
			}
			if c.total[0] != "" {
				is("total, low", gb(b.Total.Low, 1), c.total[0])
				is("total, high", gb(b.Total.High, 1), c.total[1])
			}
			if b.FitsOne != c.fitsOne {
				t.Errorf("fits one: %v", b.FitsOne)
			}
			if c.fitsOne && b.Left <= 20e9 {
				t.Errorf("%d bytes left, want more than 20 GB", b.Left)
			}
			n := b.Count
			if got := [4]int64{n.Least, n.Baseline, n.ProductionLow, n.ProductionHigh}; got != c.gpus {
				t.Errorf("GPUs %v, want %v", got, c.gpus)
			}
		})
	}
}

func TestUpperLimits(t *testing.T) {
	h100 := gpu(t, "h100-80")
	for _, c := range []struct {
		parameters int64
		bits       int
		context    int64
		gpu        plan.GPU
		want       error
	}{
		{1, 1, 1, h100, nil},
		{0, 2, 1, h100, plan.ErrArgument},
		{plan.MaxParameters, plan.MaxBits, plan.MaxContext, h100, nil},
		{plan.MaxParameters + 1, 2, 1, h100, plan.ErrArgument},
		{1e9, 0, 1, h100, plan.ErrArgument},
		{1e9, plan.MaxBits + 1, 1, h100, plan.ErrArgument},
		{1e9, 2, 0, h100, plan.ErrArgument},
		{1e9, 2, plan.MaxContext + 1, h100, plan.ErrArgument},
		{1e9, 2, 1, plan.GPU{}, plan.ErrTable},
	} {
		if _, err := plan.Upper(c.parameters, c.bits, c.context, c.gpu); !errors.Is(err, c.want) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

// TestNoRoomForASession: where overhead and state alone fill a GPU, no number of
// them is enough.
func TestNoRoomForASession(t *testing.T) {
	b, err := plan.Upper(1e9, 2, 131072, gpu(t, "t4-16"))
	if err != nil {
		t.Fatal(err)
	}
	if b.Count.Least != 1 || b.Count.Baseline != 0 || b.Count.ProductionHigh != 0 {
		t.Errorf("%+v", b.Count)
	}
}
