package modelfile

import (
	"fmt"

	"github.com/ipfs/go-cid"

	"github.com/zetagrid/zetagrid/tcn"
)

// Genome is the manifest of the frozen weights.
type Genome struct {
	Kind       string     `json:"kind"`       // KindGenome
	Version    int        `json:"version"`    // Version
	Arithmetic int        `json:"arithmetic"` // Arithmetic
	Config     tcn.Config `json:"config"`     // complete: defaults filled in
	Tiles      []Link     `json:"tiles"`      // one file per Fractal Block; may repeat
}

// NewGenome makes the manifest of tiles under c.
func NewGenome(c tcn.Config, tiles []Link) Genome {
	return Genome{Kind: KindGenome, Version: Version, Arithmetic: Arithmetic, Config: c, Tiles: tiles}
}

// Encode gives the manifest's bytes and CID. Errors: ErrManifest, ErrTooLarge.
func (g Genome) Encode() (data []byte, c cid.Cid, err error) { return encodeManifest(g) }

// DecodeGenome reads what Encode writes and nothing else. Errors: ErrManifest,
// ErrTooLarge, tcn.ErrConfig.
func DecodeGenome(data []byte) (Genome, error) { return decodeManifest[Genome](data) }

func (g Genome) validate() error {
	if err := checkHead(g.Kind, KindGenome, g.Version); err != nil {
		return err
	}
	if g.Arithmetic != Arithmetic {
		return fmt.Errorf("arithmetic is version %d, want %d", g.Arithmetic, Arithmetic)
	}
	if err := g.Config.Validate(); err != nil {
		return err
	}
	if len(g.Tiles) != g.Config.Blocks() {
		return fmt.Errorf("%d tiles, want one for each of %d blocks", len(g.Tiles), g.Config.Blocks())
	}
	return checkFileLinks("tile", g.Tiles)
}
