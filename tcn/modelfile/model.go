package modelfile

import (
	"fmt"

	"github.com/ipfs/go-cid"
)

// Model is the manifest a prompt is addressed to: a Genome and all that turns
// it into something that answers.
type Model struct {
	Kind       string            `json:"kind"`                 // KindModel
	Version    int               `json:"version"`              // Version
	Genome     Link              `json:"genome"`               // Genome manifest
	Ends       Link              `json:"ends"`                 // file: emb, pos_emb, norm_f
	Small      []Link            `json:"small"`                // one file per Fractal Block; may repeat
	Soul       *Link             `json:"soul"`                 // default Soul manifest; null: none
	Template   Template          `json:"template"`             // of a chat prompt
	Tokenizer  Tokenizer         `json:"tokenizer"`            // ByteTokenizer
	Provenance map[string]string `json:"provenance,omitempty"` // facts for people
}

// Tokenizer names how text becomes tokens.
type Tokenizer struct {
	Name string `json:"name"`   // "byte"
	Hash string `json:"sha256"` // of the tokens' bytes in token order, in hex
}

// ByteTokenizer is the only tokenizer: token i is the byte i.
var ByteTokenizer = Tokenizer{
	Name: "byte",
	Hash: "40aff2e9d2d8922e47afd4648e6967497158785fbd1da870e7110266bf944880",
}

// Encode gives the manifest's bytes and CID. Errors: ErrManifest, ErrTooLarge.
func (m Model) Encode() (data []byte, c cid.Cid, err error) { return encodeManifest(m) }

// DecodeModel reads what Encode writes and nothing else. Errors: ErrManifest,
// ErrTooLarge.
func DecodeModel(data []byte) (Model, error) { return decodeManifest[Model](data) }

// Fits reports whether m belongs to the Genome g with CID c. Errors:
// ErrManifest.
func (m Model) Fits(g Genome, c cid.Cid) error {
	if m.Genome != c {
		return fmt.Errorf("%w: Model is for Genome %s, not %s", ErrManifest, m.Genome, c)
	}
	if blocks := g.Config.Blocks(); len(m.Small) != blocks {
		return fmt.Errorf("%w: Model of %d small parameter files, Genome of %d blocks", ErrManifest, len(m.Small), blocks)
	}
	return nil
}

func (m Model) validate() error {
	if err := checkHead(m.Kind, KindModel, m.Version); err != nil {
		return err
	}
	if err := checkManifestLink("genome", m.Genome); err != nil {
		return err
	}
	if err := checkFileLink("ends", m.Ends); err != nil {
		return err
	}
	if len(m.Small) == 0 {
		return fmt.Errorf("no small parameters")
	}
	if err := checkFileLinks("small", m.Small); err != nil {
		return err
	}
	if m.Soul != nil {
		if err := checkManifestLink("soul", *m.Soul); err != nil {
			return err
		}
	}
	if err := m.Template.validate(); err != nil {
		return err
	}
	if m.Tokenizer != ByteTokenizer {
		return fmt.Errorf("tokenizer %q (%s) is not %q (%s)", m.Tokenizer.Name, m.Tokenizer.Hash, ByteTokenizer.Name, ByteTokenizer.Hash)
	}
	return checkProvenance(m.Provenance)
}
