package modelfile

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"

	"github.com/ipfs/go-cid"
)

// The checklist: names of facts in the provenance of a Model or Soul manifest,
// after the paper's Appendix C. All are optional, other names are free to use.
//
// Whoever makes the weights writes these; what a model was made of keeps its
// facts under a prefix.
const (
	FactSource   = "source"   // how the weights came about: "seeded", "trained", …
	FactSeed     = "seed"     // of what was random in it
	FactLicence  = "licence"  // of the weights
	FactData     = "data_"    // and a number: a source of text with its size and SHA-256
	FactCommand  = "command"  // that made the weights
	FactCode     = "code"     // version and revision of the program that did
	FactHardware = "hardware" // it ran on
)

// Measured begins the names of what was measured of the model itself, by
// `zetagrid eval --record`; `model verify --reproduce` measures it again.
const Measured = "eval."

// What is measured.
const (
	FactArithmetic    = Measured + "arithmetic"      // version of the exact arithmetic
	FactParameters    = Measured + "parameters"      // numbers the config makes, the Soul's not counted
	FactDataHash      = Measured + "data_sha256"     // of the text the held-out part was taken from
	FactSplit         = Measured + "split"           // how it was
	FactHeldOutHash   = Measured + "held_out_sha256" // of the text scored
	FactHeldOutBytes  = Measured + "held_out_bytes"  // of it
	FactSequence      = Measured + "sequence_bytes"  // of the sequences it was scored in
	FactBitsPerByte   = Measured + "bits_per_byte"   // six decimals
	FactStandardError = Measured + "standard_error"  // of that, over sequences
	FactSuiteVersion  = Measured + "suite_version"   // eval.SuiteVersion
	FactSuiteBytes    = Measured + "suite_bytes"     // of an answer
	FactSuiteDigest   = Measured + "suite_digest"    // of the answers
	FactLogitsDigest  = Measured + "logits_digest"   // of the logits over the suite's prompts
)

// Unmeasured is a copy of a provenance without what was measured: what a model
// of other weights, or other small parameters, may inherit.
func Unmeasured(provenance map[string]string) map[string]string {
	kept := make(map[string]string, len(provenance))
	for name, value := range provenance {
		if !strings.HasPrefix(name, Measured) {
			kept[name] = value
		}
	}
	return kept
}

// Annotate writes the model folder dir, which must be absent or empty: the model
// of the folder from with facts added to its provenance, in place of those of
// the same name. Weights and Genome stay what they are, and what they compute;
// files are linked, or copied where the file system cannot. It gives the new
// Model CID. A failure leaves nothing behind. Errors: ErrOutput, ErrManifest,
// ErrTooLarge, those of OpenFolder and the context's.
func Annotate(ctx context.Context, from, dir string, facts map[string]string, report Progress) (c cid.Cid, err error) {
	folder, err := OpenFolder(from)
	if err != nil {
		return cid.Undef, err
	}
	model := folder.model
	model.Provenance = maps.Clone(model.Provenance)
	if model.Provenance == nil {
		model.Provenance = map[string]string{}
	}
	maps.Copy(model.Provenance, facts)
	data, c, err := model.Encode()
	if err != nil {
		return cid.Undef, err
	}
	out, err := newOutput(ctx, dir, report)
	if err != nil {
		return cid.Undef, err
	}
	defer func() { err = errors.Join(err, out.discard()) }()
	if err := out.linkFolder(folder); err != nil {
		return cid.Undef, err
	}
	manifests := map[string][]byte{
		ModelFile: data, CIDFile: encodeCIDFile(c), GenomeFile: folder.manifests[folder.model.Genome],
	}
	if folder.soul != nil {
		manifests[SoulFile] = folder.manifests[*folder.model.Soul]
	}
	for name, data := range manifests {
		if err := out.writeFile(name, data); err != nil {
			return cid.Undef, err
		}
	}
	return c, out.commit()
}

// CheckSizes compares what a model folder holds with what its config makes: the
// tiles' files with [TileBytes], the parameters with the checklist. It gives
// the parameters, the Soul's not counted. Errors: ErrTensor, those of
// OpenFolder.
func CheckSizes(dir string) (parameters int64, err error) {
	in, err := Inspect(dir)
	if err != nil {
		return 0, err
	}
	if len(in.Missing) > 0 {
		return 0, fmt.Errorf("%w: %s is missing", ErrFolder, in.Missing[0])
	}
	for _, b := range in.Blocks {
		want, err := TileBytes(in.Config, b.Block)
		if err != nil {
			return 0, err
		}
		// A tile of a narrower type, which other programs write, is smaller.
		if b.TileBytes > want {
			return 0, fmt.Errorf("%w: the tile of block %d has %d bytes, the config makes %d", ErrTensor, b.Block, b.TileBytes, want)
		}
	}
	if told, ok := in.Provenance[FactParameters]; ok && told != strconv.FormatInt(in.Parameters.Total, 10) {
		return 0, fmt.Errorf("%w: the checklist says %s parameters, the config makes %d", ErrTensor, told, in.Parameters.Total)
	}
	return in.Parameters.Total, nil
}
