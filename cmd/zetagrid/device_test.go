package main

import (
	"bytes"
	"io"
	"path/filepath"
	"testing"

	"github.com/zetagrid/zetagrid/node/session"
	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/kernel"
	"github.com/zetagrid/zetagrid/tcn/modelfile"
)

// TestEveryLevelAnswersTheSame: each instruction level of this machine, forced by
// the environment, gives the bytes that the fastest gives, with either weights.
func TestEveryLevelAnswersTheSame(t *testing.T) {
	if testing.Short() {
		t.Skip("short: other tests answer at the best level")
	}
	s := &streams{in: bytes.NewReader(nil), out: io.Discard, err: io.Discard}
	for _, weights := range []tcn.Weights{"", tcn.WeightsQ2} {
		config := seededConfig()
		config.DModel, config.DFF, config.Layers, config.Weights = 128, 272, 16, weights
		folder := filepath.Join(t.TempDir(), "model")
		if _, err := modelfile.Init(t.Context(), folder, config, 3, nil); err != nil {
			t.Fatal(err)
		}
		var want []byte
		for _, set := range kernel.Available() {
			t.Setenv(kernelVariable, set.Name)
			local, err := startLocal(t.Context(), s, folder, t.TempDir(), deviceFlags{})
			if err != nil {
				t.Fatal(err)
			}
			if local.kernels != set.Name {
				t.Errorf("%s=%s computes with %s", kernelVariable, set.Name, local.kernels)
			}
			request := session.Request{Prompt: []byte("level by level"), MaxBytes: 40, LogProbs: -1,
				Sampling: tcn.Sampling{Temperature: 0.9, Seed: 5}}
			answer, err := local.Generate(t.Context(), request)
			if err != nil {
				t.Fatal(err)
			}
			var got bytes.Buffer
			if err := copyAnswer(&got, answer); err != nil {
				t.Error(err)
			}
			if want == nil {
				want = bytes.Clone(got.Bytes())
			}
			if len(want) != 40 || !bytes.Equal(got.Bytes(), want) {
				t.Errorf("weights %q, %s: %q, want %q", weights, set.Name, got.Bytes(), want)
			}
			if err := local.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}
