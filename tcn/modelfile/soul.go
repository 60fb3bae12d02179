package modelfile

import (
	"errors"
	"fmt"

	"github.com/ipfs/go-cid"

	"github.com/zetagrid/zetagrid/tcn"
)

// Soul is the manifest of an adapter: either its own low-rank slices or a
// weighted sum of other Souls of the same Genome. At most one Soul of a sum,
// the sum itself included, carries small parameters or ends.
type Soul struct {
	Kind       string            `json:"kind"`                 // KindSoul
	Version    int               `json:"version"`              // Version
	Genome     Link              `json:"genome"`               // the Genome it was made for
	Rank       int               `json:"rank,omitempty"`       // 1…tcn.MaxRank; absent in a sum
	Slices     []Link            `json:"slices,omitempty"`     // one file per Fractal Block; absent in a sum
	Sum        []Weighted        `json:"sum,omitempty"`        // 1…SumMembers Souls, added in this order
	Small      []Link            `json:"small,omitempty"`      // one file per block, instead of the Model's
	Ends       *Link             `json:"ends,omitempty"`       // instead of the Model's
	Provenance map[string]string `json:"provenance,omitempty"` // facts for people
}

// Weighted is one member of a sum of Souls.
type Weighted struct {
	Soul   Link    `json:"cid"`
	Weight float32 `json:"weight"` // finite, not 0
}

// Encode gives the manifest's bytes and CID. Errors: ErrManifest, ErrTooLarge.
func (s Soul) Encode() (data []byte, c cid.Cid, err error) { return encodeManifest(s) }

// DecodeSoul reads what Encode writes and nothing else. Errors: ErrManifest,
// ErrTooLarge.
func DecodeSoul(data []byte) (Soul, error) { return decodeManifest[Soul](data) }

// Fits reports whether s can be worn over the Genome g with CID c. Errors:
// ErrManifest.
func (s Soul) Fits(g Genome, c cid.Cid) error {
	if s.Genome != c {
		return fmt.Errorf("%w: Soul is for Genome %s, not %s", ErrManifest, s.Genome, c)
	}
	blocks := g.Config.Blocks()
	if s.Sum == nil && len(s.Slices) != blocks {
		return fmt.Errorf("%w: Soul of %d slices, Genome of %d blocks", ErrManifest, len(s.Slices), blocks)
	}
	if s.Small != nil && len(s.Small) != blocks {
		return fmt.Errorf("%w: Soul of %d small parameter files, Genome of %d blocks", ErrManifest, len(s.Small), blocks)
	}
	return nil
}

func (s Soul) validate() error {
	if err := checkHead(s.Kind, KindSoul, s.Version); err != nil {
		return err
	}
	if err := checkManifestLink("genome", s.Genome); err != nil {
		return err
	}
	if err := s.validateTerms(); err != nil {
		return err
	}
	if err := checkFileLinks("small", s.Small); err != nil {
		return err
	}
	if s.Ends != nil {
		if err := checkFileLink("ends", *s.Ends); err != nil {
			return err
		}
	}
	return checkProvenance(s.Provenance)
}

func (s Soul) validateTerms() error {
	if len(s.Sum) == 0 {
		if s.Rank < 1 || s.Rank > tcn.MaxRank {
			return fmt.Errorf("rank %d is not in 1…%d", s.Rank, tcn.MaxRank)
		}
		if len(s.Slices) == 0 {
			return errors.New("neither slices nor a sum")
		}
		return checkFileLinks("slice", s.Slices)
	}
	if len(s.Slices) > 0 || s.Rank != 0 {
		return errors.New("both a sum and slices or a rank")
	}
	if len(s.Sum) > SumMembers {
		return fmt.Errorf("%w: sum of %d Souls, limit %d", ErrTooLarge, len(s.Sum), SumMembers)
	}
	for i, member := range s.Sum {
		if err := checkManifestLink(fmt.Sprintf("sum %d", i), member.Soul); err != nil {
			return err
		}
		if !finite(member.Weight) || member.Weight == 0 {
			return fmt.Errorf("sum %d: weight %v is not finite or is zero", i, member.Weight)
		}
	}
	return nil
}
