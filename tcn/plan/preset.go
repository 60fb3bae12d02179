package plan

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/zetagrid/zetagrid/tcn"
)

// presets are the parameters that a preset's name promises.
var presets = map[string]int64{
	"120b": 120_000_000_000,
	"1t":   1_000_000_000_000,
}

// PresetNames lists the presets.
func PresetNames() []string { return slices.Sorted(maps.Keys(presets)) }

// Preset is the config of a preset: the release cell without positions, 2-bit
// matrices, state and boundary in bf16. Errors: [ErrArgument].
//
//	120b  d 10,240  f 40,960   96 layers in 12 blocks  120.8e9 weights in matrices
//	1t    d 16,384  f 65,536  312 layers in 39 blocks  1.005e12
func Preset(name string) (tcn.Config, error) {
	parameters, ok := presets[strings.ToLower(name)]
	if !ok {
		return tcn.Config{}, fmt.Errorf("%w: no preset %q, there are %s", ErrArgument, name, strings.Join(PresetNames(), ", "))
	}
	return ConfigOf(parameters)
}

// widths are the d_model that a number of parameters from least on gets.
var widths = []struct {
	least  int64
	dModel int
}{
	{500_000_000_000, 16_384},
	{50_000_000_000, 10_240},
	{2_000_000_000, 4_096},
	{100_000_000, 1_024},
	{5_000_000, 256},
	{MinParameters, 64},
}

// ConfigOf is a config of about so many parameters: a width for that size, d_ff
// four times as wide, and as many whole Fractal Blocks of 8 layers as come
// nearest. All else is as in [Preset]. Errors: [ErrArgument].
func ConfigOf(parameters int64) (tcn.Config, error) {
	if parameters < MinParameters || parameters > MaxParameters {
		return tcn.Config{}, fmt.Errorf("%w: %d parameters are not in %d…%d", ErrArgument, parameters, MinParameters, int64(MaxParameters))
	}
	at := slices.IndexFunc(widths, func(w struct {
		least  int64
		dModel int
	}) bool {
		return parameters >= w.least
	})
	d := widths[at].dModel
	dilations := []int{1, 2, 4, 8, 16, 32, 64, 128}
	block := int64(len(dilations)) * 3 * int64(d) * 4 * int64(d) // weights of its matrices
	c := tcn.Config{
		Cell: tcn.CellRelease, VocabSize: tcn.VocabSize, DModel: d, DFF: 4 * d,
		Layers:     len(dilations) * int(max(1, (parameters+block/2)/block)),
		KernelSize: 3, Dilations: dilations, RMSEps: 1e-6,
		State: tcn.BF16, Boundary: tcn.BF16, Weights: tcn.WeightsQ2,
	}.WithDefaults()
	return c, c.Validate()
}
