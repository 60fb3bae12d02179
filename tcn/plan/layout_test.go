package plan_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/plan"
)

func preset(t *testing.T, name string) plan.Model {
	t.Helper()
	c, err := plan.Preset(name)
	if err != nil {
		t.Fatal(err)
	}
	return plan.Model{Config: c}
}

func racked(t *testing.T, text string) []plan.GPU {
	t.Helper()
	gpus, err := plan.DefaultTable().ParseRack(text)
	if err != nil {
		t.Fatal(err)
	}
	return gpus
}

var demand = plan.Demand{Sessions: 8, Souls: 1, SoulRank: 128}

func lay(t *testing.T, m plan.Model, d plan.Demand, rack string, link plan.Link) plan.Layout {
	t.Helper()
	l, err := plan.Lay(m, d, racked(t, rack), link)
	if err != nil {
		t.Fatal(err)
	}
	checkLayout(t, l)
	return l
}

// checkLayout holds what is true of every layout: chains cover all blocks in
// order, stages are held, memory adds up, and a death loses what nobody else
// holds.
func checkLayout(t *testing.T, l plan.Layout) {
	t.Helper()
	copies := make([]int, l.Blocks)
	for i, g := range l.GPUs {
		sum := g.Weights + g.Souls + g.State + g.Workspace + g.Reserve + g.Free
		if sum != g.GPU.Memory || g.Free < 0 || g.Reserve < 0 || float64(g.Reserve) > 0.1*float64(g.GPU.Memory)+1 {
			t.Errorf("GPU %d: memory of %d is %+v", i, g.GPU.Memory, g)
		}
		for _, r := range g.Blocks {
			for b := r.Lo; b < r.Hi; b++ {
				copies[b]++
			}
		}
		if g.Chain < 0 && g.Stage.Len() != 0 {
			t.Errorf("GPU %d is a spare with a stage", i)
		}
	}
	if got := slices.Min(copies); got != l.Copies || got < len(l.Chains) {
		t.Errorf("%d copies, want %d, of %d chains", l.Copies, got, len(l.Chains))
	}
	for c, chain := range l.Chains {
		at := 0
		for _, i := range chain.GPUs {
			g := l.GPUs[i]
			inside := slices.ContainsFunc(g.Blocks, func(r plan.Blocks) bool { return r.Lo <= g.Stage.Lo && g.Stage.Hi <= r.Hi })
			if g.Chain != c || g.Stage.Lo != at || g.Stage.Len() < 1 || !inside {
				t.Errorf("chain %d GPU %d: %+v does not go on at %d", c, i, g, at)
			}
			at = g.Stage.Hi
		}
		if at != l.Blocks {
			t.Errorf("chain %d ends at %d of %d", c, at, l.Blocks)
		}
		if len(chain.GPUs) == 1 && chain.Hops != 0 || len(chain.GPUs) > 1 && chain.Hops != len(chain.GPUs) {
			t.Errorf("chain %d of %d GPUs: %d hops", c, len(chain.GPUs), chain.Hops)
		}
	}
	for i, loss := range l.Losses {
		var lost []int
		for _, r := range l.GPUs[i].Blocks {
			for b := r.Lo; b < r.Hi; b++ {
				if copies[b] == 1 {
					lost = append(lost, b)
				}
			}
		}
		var said []int
		for _, r := range loss.Lost {
			for b := r.Lo; b < r.Hi; b++ {
				said = append(said, b)
			}
		}
		if !slices.Equal(lost, said) || (len(lost) > 0) != (loss.ReloadBytes > 0) {
			t.Errorf("GPU %d: lost %v, said %v, %d bytes to reload", i, lost, said, loss.ReloadBytes)
		}
		if (loss.Single > 0) != (len(lost) == 0) || loss.Single > l.Single*1.0001 || loss.Batched > l.Batched*1.0001 {
			t.Errorf("GPU %d: %g and %g bytes a second after it, %g and %g before", i, loss.Single, loss.Batched, l.Single, l.Batched)
		}
	}
}

// TestTrillionRack: nine GPUs hold a trillion parameters twice, so that any one
// may die; five hold them once.
func TestTrillionRack(t *testing.T) {
	l := lay(t, preset(t, "1t"), demand, "9xh100-80", plan.DefaultLink)
	if l.Copies < 2 || len(l.Chains) != 1 {
		t.Errorf("%d copies in %d chains", l.Copies, len(l.Chains))
	}
	for _, loss := range l.Losses {
		if len(loss.Lost) != 0 || len(loss.Alone) != 1 || loss.ReplayRows == 0 {
			t.Errorf("%+v", loss)
		}
	}
	least, err := plan.Least(preset(t, "1t"), demand, gpu(t, "h100-80"))
	if err != nil || least != 5 {
		t.Fatalf("least %d, %v", least, err)
	}
	l = lay(t, preset(t, "1t"), demand, "5xh100-80", plan.DefaultLink)
	for _, loss := range l.Losses {
		if len(loss.Lost) == 0 || loss.Reload {
			t.Errorf("%+v", loss)
		}
	}
	if _, err := plan.Lay(preset(t, "1t"), demand, racked(t, "4xh100-80"), plan.DefaultLink); !errors.Is(err, plan.ErrFit) {
		t.Error(err)
	}
}

func TestReplicas(t *testing.T) {
	l := lay(t, preset(t, "120b"), demand, "9xh100-80", plan.DefaultLink)
	if len(l.Chains) != 9 || l.Copies != 9 {
		t.Errorf("%d chains, %d copies", len(l.Chains), l.Copies)
	}
	d := demand
	d.Replicas = 1
	l = lay(t, preset(t, "1t"), d, "9xh100-80", plan.DefaultLink)
	if len(l.Chains) != 1 || l.Copies != 1 {
		t.Errorf("%d chains, %d copies", len(l.Chains), l.Copies)
	}
	d.Replicas = 3
	l = lay(t, preset(t, "120b"), d, "9xh100-80", plan.DefaultLink)
	if l.Copies != 3 {
		t.Errorf("%d copies", l.Copies)
	}
}

// TestRacks lays models over many racks; checkLayout holds what must be true.
func TestRacks(t *testing.T) {
	slow := plan.Link{Bits: 1e9, RTT: 20e-3}
	for _, rack := range []string{
		"4xh100-80,2xrtx4090-24", "20xrtx4090-24", "2xrtx4090-24,4xh100-80", "h200-141", "mi300x-192,8xt4-16",
		"256xa100-80", "3xb200-180", "7xa40-48,a100-40",
	} {
		for _, link := range []plan.Link{plan.DefaultLink, slow} {
			for _, replicas := range []int{0, 1, 2} {
				for _, name := range []string{"120b", "1t"} {
					d := demand
					d.Replicas = replicas
					l, err := plan.Lay(preset(t, name), d, racked(t, rack), link)
					if errors.Is(err, plan.ErrFit) {
						continue
					}
					if err != nil {
						t.Fatal(err)
					}
					t.Run(fmt.Sprint(rack, link.RTT, replicas, name), func(t *testing.T) { checkLayout(t, l) })
				}
			}
		}
	}
}

// TestRates: what can only help does not hurt, and one GPU's rate is what its
// memory gives.
func TestRates(t *testing.T) {
	m := preset(t, "120b")
	d := plan.Demand{Sessions: 8}
	h100 := gpu(t, "h100-80")
	one := lay(t, m, d, "h100-80", plan.DefaultLink)
	n, err := plan.Needs(m, d, h100)
	if err != nil {
		t.Fatal(err)
	}
	roof := plan.MemoryEfficiency * h100.Bandwidth / float64(n.TileBytes+n.SmallBytes)
	if one.Single > roof || one.Single < 0.9*roof {
		t.Errorf("%g bytes a second, the weights can be read %g times", one.Single, roof)
	}
	if one.Batched < one.Single || one.Batched > 8*one.Single {
		t.Errorf("%g alone, %g for eight", one.Single, one.Batched)
	}
	if faster := lay(t, m, d, "h200-141", plan.DefaultLink); faster.Single <= one.Single {
		t.Errorf("%g on more bandwidth, %g on less", faster.Single, one.Single)
	}
	near := lay(t, preset(t, "1t"), d, "9xh100-80", plan.DefaultLink)
	far := lay(t, preset(t, "1t"), d, "9xh100-80", plan.Link{Bits: 1e9, RTT: 20e-3})
	if far.Single >= near.Single || far.Batched >= near.Batched {
		t.Errorf("far %g and %g, near %g and %g", far.Single, far.Batched, near.Single, near.Batched)
	}
	// The far chain is as short as can be: each hop costs 10 ms.
	if len(far.Chains[0].GPUs) >= len(near.Chains[0].GPUs) && len(far.Chains) <= len(near.Chains) {
		t.Errorf("far chains %+v, near chains %+v", far.Chains, near.Chains)
	}
}

// TestExpandedModel: copies of a tile take no second place, and no second GPU.
func TestExpandedModel(t *testing.T) {
	m := preset(t, "1t")
	m.Tiles = make([]string, m.Config.Blocks())
	for b := range m.Tiles {
		m.Tiles[b] = fmt.Sprint(b % 3)
	}
	d := plan.Demand{Sessions: 1}
	apart, err := plan.Least(preset(t, "1t"), d, gpu(t, "h100-80"))
	if err != nil {
		t.Fatal(err)
	}
	shared, err := plan.Least(m, d, gpu(t, "h100-80"))
	if err != nil || shared != 1 || apart < 4 {
		t.Errorf("%d GPUs for shared tiles, %d for others, %v", shared, apart, err)
	}
	l := lay(t, m, d, "2xh100-80", plan.DefaultLink)
	if len(l.Chains) != 2 || l.GPUs[0].Weights > 20e9 {
		t.Errorf("%d chains, %d bytes", len(l.Chains), l.GPUs[0].Weights)
	}
}

func TestSameLayoutTwice(t *testing.T) {
	const rack = "4xh100-80,2xrtx4090-24,3xa100-40"
	a := lay(t, preset(t, "120b"), demand, rack, plan.DefaultLink)
	b := lay(t, preset(t, "120b"), demand, rack, plan.DefaultLink)
	if diff := cmp.Diff(a, b); diff != "" {
		t.Error(diff)
	}
	text, err := json.Marshal(a)
	if err != nil || !json.Valid(text) {
		t.Fatal(err)
	}
}

func TestLayLimits(t *testing.T) {
	small := plan.Model{Config: config(tcn.CellRelease, 16, 16, 6, 1, tcn.WeightsQ2)}
	d := plan.Demand{Sessions: 1}
	h100 := gpu(t, "h100-80")
	for _, c := range []struct {
		gpus int
		link plan.Link
		want error
	}{
		{plan.MaxGPUs, plan.DefaultLink, nil},
		{0, plan.DefaultLink, plan.ErrArgument},
		{plan.MaxGPUs + 1, plan.DefaultLink, plan.ErrArgument},
		{1, plan.Link{}, plan.ErrArgument},
		{1, plan.Link{Bits: 1e9, RTT: 11}, plan.ErrArgument},
		{1, plan.Link{Bits: 1e9, RTT: -1}, plan.ErrArgument},
		{1, plan.Link{Bits: 1e9, RTT: math.NaN()}, plan.ErrArgument},
		{1, plan.Link{Bits: math.Inf(1)}, plan.ErrArgument},
	} {
		l, err := plan.Lay(small, d, slices.Repeat([]plan.GPU{h100}, c.gpus), c.link)
		if !errors.Is(err, c.want) {
			t.Errorf("%d GPUs, %+v: %v", c.gpus, c.link, err)
		}
		if err == nil {
			checkLayout(t, l)
		}
	}
	tiny := plan.GPU{Name: "tiny", Memory: 100_000_000, Bandwidth: 1e9, Int8: 1e9}
	if _, err := plan.Lay(preset(t, "1t"), d, []plan.GPU{tiny}, plan.DefaultLink); !errors.Is(err, plan.ErrFit) {
		t.Error(err)
	}
	if n, err := plan.Least(preset(t, "1t"), d, tiny); n != 0 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
}

func TestParseBits(t *testing.T) {
	for text, want := range map[string]float64{
		"100Gb": 100e9, "1Gb": 1e9, "1Gb/s": 1e9, "20Mb": 20e6, "2.5G": 2.5e9, "64kb": 64e3, "1Tb": 1e12,
	} {
		if got, err := plan.ParseBits(text); err != nil || got != want {
			t.Errorf("%s: %g, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "Gb", "-1Gb", "0", "NaN", "1e99Gb", "fast", "1XB"} {
		if _, err := plan.ParseBits(text); !errors.Is(err, plan.ErrArgument) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// TestMeasured: what was measured takes the place of what is predicted, and only
// that.
func TestMeasured(t *testing.T) {
	m, d := preset(t, "1t"), plan.Demand{Sessions: 32, Replicas: 1}
	measured := func(x plan.Measured) plan.Layout {
		t.Helper()
		l, err := x.Lay(m, d, racked(t, "9xh100-80"), plan.DefaultLink)
		if err != nil {
			t.Fatal(err)
		}
		checkLayout(t, l)
		return l
	}
	predicted := lay(t, m, d, "9xh100-80", plan.DefaultLink)
	if same := measured(plan.Measured{Hop: plan.HopSeconds}); !cmp.Equal(same, predicted) {
		t.Errorf("with the predicted hop: %s", cmp.Diff(same, predicted))
	}
	const block, hop = 3e-3, 200e-6
	got := measured(plan.Measured{Block: func(rows int) float64 { return block }, Hop: hop})
	wire := plan.DefaultLink.RTT/2 + 8*float64(plan.HopBytes(m.Config))/plan.DefaultLink.Bits
	if want := 1 / (39*block + 9*(hop+wire)); math.Abs(got.Single/want-1) > 1e-9 {
		t.Errorf("single %v, want %v", got.Single, want)
	}
	// The longest stage has five blocks: it bounds what all sessions get together.
	if groups := 10.0; got.Batched <= got.Single*groups || got.Batched > 32/(5*block) {
		t.Errorf("batched %v beside single %v", got.Batched, got.Single)
	}
}
