package node

import (
	"testing"
	"time"

	"github.com/zetagrid/zetagrid/node/session"
	"github.com/zetagrid/zetagrid/tcn"
)

// BenchmarkLap measures what three hops over loopback add to a byte whose blocks
// cost next to nothing: rows of 8 KiB, gateway to hop to hop to hop to gateway.
func BenchmarkLap(b *testing.B) {
	c := tcn.Config{
		Cell: tcn.CellRelease, VocabSize: tcn.VocabSize, DModel: 2048, DFF: 32,
		Layers: 4, LayersPerBlock: 1, KernelSize: 2, Dilations: []int{1}, RMSEps: 1e-6,
	}.WithDefaults()
	nodes := chainOf(b, seededFolder(b, c), c, 4)
	gateway := nodes[3]
	var hops []session.Hop
	for i, n := range nodes[:3] {
		hops = append(hops, session.Hop{Peer: n.links.self, Blocks: tcn.Range{Lo: i, Hi: i + 1}})
	}
	hops[2].Blocks.Hi = 4
	if _, err := nodes[2].resident.load(b.Context(), nodes[2].library, tcn.Range{Lo: 2, Hi: 4}, nil); err != nil {
		b.Fatal(err)
	}
	gateway.gateways.route = func([]string) ([]session.Hop, error) { return hops, nil }
	g, err := gateway.Generate(b.Context(), session.Request{Prompt: []byte("lap"), MaxBytes: b.N + 1, LogProbs: -1})
	if err != nil {
		b.Fatal(err)
	}
	if _, err := g.Next(); err != nil {
		b.Fatal(err)
	}
	before := g.Usage()
	b.ResetTimer()
	for range b.N {
		if _, err := g.Next(); err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	u := g.Usage()
	laps := time.Duration(max(1, u.Laps-before.Laps))
	b.ReportMetric(float64((u.Wire-before.Wire+u.Queue-before.Queue)/laps/3)/1e3, "µs/hop")
	b.ReportMetric(float64((u.Compute-before.Compute)/laps)/1e3, "compute-µs/lap")
	if err := g.Close(); err != nil {
		b.Fatal(err)
	}
}
