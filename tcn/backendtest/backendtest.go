// Package backendtest is what every [tcn.Backend] must pass.
//
// A backend's own test is three lines:
//
//	func TestBackend(t *testing.T) {
//		backendtest.Run(t, tcn.NewCPU(nil))
//	}
//
// # Laws checked
//
// On each of [Cases]: equality with a naive forward over the whole text that
// shares no code with the product ([Model.Naive]), laws 1 to 5 of package tcn,
// every refusal of the interfaces, and the committed [Digests]. All
// comparisons are of bits.
//
// # Limits
//
// Models are a few thousand weights, so that the suite takes seconds on one
// core; that a backend is right on large ones follows only as far as its code
// does not depend on size. [tcn.SelfCheck], which Run calls too, has wider
// layers.
package backendtest

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"math"
	"testing"

	"github.com/zetagrid/zetagrid/tcn"
)

// Run runs the suite on a backend.
func Run(t *testing.T, b tcn.Backend) {
	t.Run("self-check", func(t *testing.T) {
		if err := tcn.SelfCheck(b); err != nil {
			t.Error(err)
		}
		if b.Name() == "" {
			t.Error("the backend has no name")
		}
	})
	for _, c := range Cases() {
		t.Run(c.Name, func(t *testing.T) { RunCase(t, b, c) })
	}
}

// RunCase runs the suite on one case.
func RunCase(t *testing.T, b tcn.Backend, c Case) {
	m := c.Model()
	for _, law := range []struct {
		name  string
		check func(*testing.T, tcn.Backend, Case, *Model)
	}{
		{"naive", naive},
		{"chunks", chunks},
		{"batch mates", batchMates},
		{"splits", splits},
		{"truncate", truncate},
		{"history", history},
		{"steady", steady},
		{"skipped", skipped},
		{"refused loads", refusedLoads},
		{"refused works", refusedWorks},
		{"digest", digest},
	} {
		t.Run(law.name, func(t *testing.T) { law.check(t, b, c, m) })
	}
}

// digestRows is the length of the text that [Digest] reads.
const digestRows = 48

// Digest is the SHA-256, in hexadecimal, of the logits after every byte of the
// case's text, as little-endian float32.
func Digest(b tcn.Backend, c Case) (string, error) {
	m, all, d := c.Model(), c.Config.All(), c.Config.DModel
	stage, err := b.Load(c.Config, all, m.Blocks)
	if err != nil {
		return "", err
	}
	state, err := stage.NewState(all, 0)
	if err != nil {
		return "", errors.Join(err, stage.Close())
	}
	w := work(state, m.Variant(all, c.Souls), m.Embed(Text(c.Seed, digestRows)), d, 0, digestRows)
	err = stage.Step([]*tcn.Work{w})
	if err := errors.Join(err, w.Err, state.Close(), stage.Close()); err != nil {
		return "", err
	}
	hash := sha256.New()
	for p := range digestRows {
		var logits [256]float32
		if err := m.Ends.Logits(w.Rows.Data[p*d:(p+1)*d], &logits); err != nil {
			return "", err
		}
		for _, l := range logits {
			hash.Write(binary.LittleEndian.AppendUint32(nil, math.Float32bits(l))) // never fails
		}
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

func digest(t *testing.T, b tcn.Backend, c Case, _ *Model) {
	got, err := Digest(b, c)
	if err != nil {
		t.Fatal(err)
	}
	if want := Digests[c.Name]; got != want {
		t.Errorf("digest of %s is %q, want %q", c.Name, got, want)
	}
}
