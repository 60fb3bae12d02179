package modelfile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/modelfile/internal/jsonobject"
)

// ImportConfig is a config.json that comes with weights to import.
type ImportConfig struct {
	Config tcn.Config // complete and valid
	Rank   int        // "lora_rank" of the Soul; 0 or absent: there is none
	// Unknown lists names that mean nothing here, for the user to be told.
	Unknown []string
}

// DecodeConfig reads a config.json: a JSON object with the names of tcn.Config
// and lora_rank. Only lora_rank, layers_per_block, state, boundary and weights may
// be absent. Errors: ErrConfig, tcn.ErrConfig, ErrTooLarge.
func DecodeConfig(data []byte) (ImportConfig, error) {
	var in ImportConfig
	if len(data) > ConfigBytes {
		return in, fmt.Errorf("%w: config.json of %d bytes, limit %d", ErrTooLarge, len(data), ConfigBytes)
	}
	if err := in.decode(data); err != nil {
		return ImportConfig{}, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	return in, nil
}

func (in *ImportConfig) decode(data []byte) error {
	c := &in.Config
	required := map[string]any{
		"cell": &c.Cell, "vocab_size": &c.VocabSize, "d_model": &c.DModel, "d_ff": &c.DFF,
		"n_layers": &c.Layers, "kernel_size": &c.KernelSize, "dilations": &c.Dilations,
		"max_positions": &c.MaxPositions, "rms_eps": &c.RMSEps,
	}
	optional := map[string]any{
		"lora_rank": &in.Rank, "layers_per_block": &c.LayersPerBlock, "state": &c.State, "boundary": &c.Boundary,
		"weights": &c.Weights,
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	err := jsonobject.EachMember(decoder, func(name string) error {
		var text json.RawMessage
		if err := decoder.Decode(&text); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		field, known := required[name]
		delete(required, name)
		if !known {
			if field, known = optional[name]; !known {
				in.Unknown = append(in.Unknown, name)
				return nil
			}
		}
		if string(text) == "null" {
			return fmt.Errorf("%s is null", name)
		}
		if err := json.Unmarshal(text, field); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("text after the object")
	}
	for _, name := range []string{
		"cell", "vocab_size", "d_model", "d_ff", "n_layers", "kernel_size", "dilations", "max_positions", "rms_eps",
	} {
		if _, missing := required[name]; missing {
			return fmt.Errorf("%s is missing", name)
		}
	}
	if len(c.Dilations) == 0 {
		return errors.New("dilations is empty")
	}
	in.Config = c.WithDefaults()
	if err := in.Config.Validate(); err != nil {
		return err
	}
	if in.Rank < 0 || in.Rank > tcn.MaxRank {
		return fmt.Errorf("lora_rank %d is not in 0…%d", in.Rank, tcn.MaxRank)
	}
	return nil
}

// ReadConfig is DecodeConfig of a file. Errors: as there, and those of reading.
func ReadConfig(path string) (ImportConfig, error) {
	data, err := readFileAtMost(path, ConfigBytes)
	if err != nil {
		return ImportConfig{}, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	in, err := DecodeConfig(data)
	if err != nil {
		return ImportConfig{}, fmt.Errorf("%s: %w", path, err)
	}
	return in, nil
}
