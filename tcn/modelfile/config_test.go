package modelfile_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/modelfile"
)

const goodConfig = `{"cell": "release", "vocab_size": 256, "d_model": 4, "d_ff": 6, "n_layers": 3, "kernel_size": 3,
	"lora_rank": 2, "dilations": [1, 2], "max_positions": 8, "rms_eps": 1e-06}`

func TestDecodeConfig(t *testing.T) {
	in, err := modelfile.DecodeConfig([]byte(goodConfig))
	if err != nil {
		t.Fatal(err)
	}
	want := tinyConfig
	if fmt.Sprint(in.Config) != fmt.Sprint(want) || in.Rank != 2 || len(in.Unknown) > 0 {
		t.Errorf("%+v, want %+v", in, want)
	}
	more := strings.Replace(goodConfig, "{", `{"state": "bf16", "boundary": "bf16", "layers_per_block": 3, "name": {"x": [1]}, "dropout": 0.1,`, 1)
	in, err = modelfile.DecodeConfig([]byte(more))
	if err != nil {
		t.Fatal(err)
	}
	want.State, want.Boundary, want.LayersPerBlock = tcn.BF16, tcn.BF16, 3
	if fmt.Sprint(in.Config) != fmt.Sprint(want) || !slices.Equal(in.Unknown, []string{"name", "dropout"}) {
		t.Errorf("%+v, want %+v", in, want)
	}
}

func TestDecodeConfigRefuses(t *testing.T) {
	change := func(old, new string) string {
		if !strings.Contains(goodConfig, old) {
			t.Fatalf("%q is not in the config", old)
		}
		return strings.Replace(goodConfig, old, new, 1)
	}
	for want, text := range map[string]string{
		"not a JSON object":        "[]",
		"text after":               goodConfig + "{}",
		"\"cell\" comes twice":     change("{", `{"cell": "paper",`),
		"cell is missing":          change(`"cell": "release",`, ""),
		"rms_eps is missing":       change(`, "rms_eps": 1e-06`, ""),
		"max_positions is missing": change(`"max_positions": 8,`, ""),
		"max_positions is null":    change(`"max_positions": 8`, `"max_positions": null`),
		"d_model: json":            change(`"d_model": 4`, `"d_model": 4.5`),
		"d_ff: json":               change(`"d_ff": 6`, `"d_ff": "6"`),
		"n_layers: json":           change(`"n_layers": 3`, `"n_layers": 99999999999999999999`),
		"dilations: json":          change(`[1, 2]`, `{"a": 1}`),
		"cell \"other\"":           change(`"release"`, `"other"`),
		"vocab_size 255":           change("256", "255"),
		"d_model 0":                change(`"d_model": 4`, `"d_model": 0`),
		"d_model -4":               change(`"d_model": 4`, `"d_model": -4`),
		"d_model 9999999999":       change(`"d_model": 4`, `"d_model": 9999999999`),
		"n_layers 0":               change(`"n_layers": 3`, `"n_layers": 0`),
		"kernel_size 0":            change(`"kernel_size": 3`, `"kernel_size": 0`),
		"dilations is empty":       change("[1, 2]", "[]"),
		"dilations[1] 0":           change("[1, 2]", "[1, 0]"),
		"max_positions -1":         change(`"max_positions": 8`, `"max_positions": -1`),
		"rms_eps 0":                change("1e-06", "0"),
		"rms_eps -1":               change("1e-06", "-1"),
		"rms_eps: json":            change("1e-06", "1e400"),
		"invalid character 'N'":    change("1e-06", "NaN"),
		"lora_rank -1":             change(`"lora_rank": 2`, `"lora_rank": -1`),
		"lora_rank 4097":           change(`"lora_rank": 2`, `"lora_rank": 4097`),
		"state \"f64\"":            change("{", `{"state": "f64",`),
	} {
		t.Run(want, func(t *testing.T) {
			in, err := modelfile.DecodeConfig([]byte(text))
			if !errors.Is(err, modelfile.ErrConfig) || !strings.Contains(err.Error(), want) {
				t.Errorf("%+v, %v, want ErrConfig with %q", in, err, want)
			}
		})
	}
	for n := range goodConfig {
		if _, err := modelfile.DecodeConfig([]byte(goodConfig[:n])); !errors.Is(err, modelfile.ErrConfig) {
			t.Fatalf("cut at %d: %v", n, err)
		}
	}
}

func TestConfigLimit(t *testing.T) {
	rank := strings.Replace(goodConfig, `"lora_rank": 2`, `"lora_rank": 4096`, 1)
	if in, err := modelfile.DecodeConfig([]byte(rank)); err != nil || in.Rank != tcn.MaxRank {
		t.Errorf("rank at the limit: %v", err)
	}
	pad := func(n int) []byte { return []byte(goodConfig + strings.Repeat(" ", n-len(goodConfig))) }
	if _, err := modelfile.DecodeConfig(pad(modelfile.ConfigBytes)); err != nil {
		t.Errorf("at the limit: %v", err)
	}
	if _, err := modelfile.DecodeConfig(pad(modelfile.ConfigBytes + 1)); !errors.Is(err, modelfile.ErrTooLarge) {
		t.Errorf("past the limit: %v", err)
	}
}

func FuzzDecodeConfig(f *testing.F) {
	f.Add([]byte(goodConfig))
	f.Add([]byte(strings.Replace(goodConfig, "{", `{"layers_per_block": 3, "x": null,`, 1)))
	f.Fuzz(func(t *testing.T, data []byte) {
		in, err := modelfile.DecodeConfig(data)
		if err != nil {
			if !errors.Is(err, modelfile.ErrConfig) && !errors.Is(err, modelfile.ErrTooLarge) {
				t.Fatalf("unnamed error %v", err)
			}
			return
		}
		if err := in.Config.Validate(); err != nil {
			t.Fatal(err)
		}
	})
}

func ExampleDecodeConfig() {
	data, err := os.ReadFile(filepath.Join("testdata", "tiny", "config.json"))
	if err != nil {
		panic(err)
	}
	in, err := modelfile.DecodeConfig(data)
	if err != nil {
		panic(err)
	}
	fmt.Println(in.Config.Cell, in.Config.Blocks(), "blocks, Soul of rank", in.Rank)
	// Output: release 2 blocks, Soul of rank 2
}
