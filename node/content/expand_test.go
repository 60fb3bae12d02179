package content

import (
	"path/filepath"
	"sync"
	"testing"

	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/modelfile"
)

// TestExpandedModelTravelsOnce: a model of four times the blocks is fetched with
// the bytes of its seed, whether its blocks ask at once or in turn.
func TestExpandedModelTravelsOnce(t *testing.T) {
	config := tcn.Config{
		Cell: tcn.CellRelease, VocabSize: tcn.VocabSize, DModel: 128, DFF: 512, Layers: 8,
		KernelSize: 3, Dilations: []int{1, 2, 4, 8}, RMSEps: 1e-6,
	}.WithDefaults()
	dir := t.TempDir()
	seed, grown := filepath.Join(dir, "seed"), filepath.Join(dir, "grown")
	_, err := modelfile.Init(t.Context(), seed, config, 1, nil)
	check(t, err)
	_, err = modelfile.Expand(t.Context(), seed, grown, modelfile.Expansion{Blocks: 8, Mode: modelfile.ExpandMirror}, nil)
	check(t, err)
	received := func(dir string, times int) (bytes uint64) {
		giver, taker := pair(t)
		folder, err := modelfile.OpenFolder(dir)
		check(t, err)
		check(t, giver.AddFolder(t.Context(), folder))
		genome, _ := folder.Genome()
		for range times {
			var blocks sync.WaitGroup
			for _, tile := range genome.Tiles {
				blocks.Go(func() {
					if _, err := taker.File(t.Context(), tile, plenty, nil); err != nil {
						t.Error(err)
					}
				})
			}
			blocks.Wait()
		}
		holds(t, taker, map[string]int{filesDir: 2})
		stat, err := taker.exchange.Stat()
		check(t, err)
		return stat.DataReceived
	}
	once, again := received(seed, 1), received(grown, 2)
	if size, err := modelfile.TileBytes(config, 0); err != nil || once < 2*uint64(size) {
		t.Fatalf("%d bytes for two tiles of %d (%v)", once, size, err)
	}
	if float64(again) > 1.02*float64(once) {
		t.Errorf("the seed took %d bytes, the model of its copies %d", once, again)
	}
	t.Logf("the seed took %d bytes, the model of its copies %d", once, again)
}
