package node

import (
	"testing"

	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/modelfile"
)

// TestSoulBytes: a slice of either form, of any rank, is within what a node takes
// for one.
func TestSoulBytes(t *testing.T) {
	c := tcn.Config{
		Cell: tcn.CellRelease, VocabSize: tcn.VocabSize, DModel: 16384, DFF: 32768, Layers: 16, LayersPerBlock: 8,
		KernelSize: 3, Dilations: []int{1, 2}, RMSEps: 1e-6,
	}.WithDefaults()
	l := &library{config: c}
	for _, rank := range []int{1, 3, 4, 15, 16, 17, tcn.MaxRank} {
		for form, size := range map[modelfile.SoulForm]func(tcn.Config, int, int) (int64, error){
			modelfile.SoulF32: modelfile.SoulBytes, modelfile.SoulQ8: modelfile.SoulBytesQ8,
		} {
			bytes, err := size(c, 0, rank)
			if most := l.soulBytes(rank); err != nil || bytes > most {
				t.Errorf("rank %d, %s: %d bytes, at most %d taken (%v)", rank, form, bytes, most, err)
			}
		}
	}
}
