package modelfile

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"

	"github.com/ipfs/go-cid"
)

// The checklist: names of facts in the provenance of a Model or Soul manifest,
// after the paper's Appendix C. Whoever makes the weights writes the first
// group, whoever measures them the second. All are optional, other names are
// free to use, and `model verify --reproduce` checks what can be checked.
const (
	FactSource   = "source"      // how the weights came about: "seeded", "trained", …
	FactSeed     = "seed"        // of what was random in it
	FactLicence  = "licence"     // of the weights
	FactData     = "data"        // a line for each source of text: sha256, bytes, licence, name
	FactDataHash = "data sha256" // of the whole text, before it was split
	FactSplit    = "split"       // what of it was held out
	FactCommand  = "command"     // that made the weights
	FactCode     = "code"        // version and revision of the program that did
	FactHardware = "hardware"    // it ran on
	FactEffort   = "effort"      // bytes of text seen, steps, time

	FactArithmetic    = "arithmetic"             // version of the exact arithmetic, for the figures
	FactParameters    = "parameters"             // numbers the config makes, the Soul's not counted
	FactHeldOutHash   = "held-out sha256"        // of the text scored
	FactHeldOutBytes  = "held-out bytes"         // of it
	FactSequence      = "held-out sequence"      // bytes of the sequences it was scored in
	FactBitsPerByte   = "held-out bits per byte" // six decimals
	FactStandardError = "held-out standard error"
	FactSuiteVersion  = "suite version" // eval.SuiteVersion
	FactSuiteBytes    = "suite bytes"   // of an answer
	FactSuiteDigest   = "suite digest"  // of the answers
	FactLogitsDigest  = "logits digest" // of the logits over the suite's prompts
)

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
