package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/modelfile"
)

// seededSeed makes the default model.
const seededSeed = 1

// seededConfig is the default model: small enough to be made at once, with
// enough Fractal Blocks for a grid of six, and no end to its text.
func seededConfig() tcn.Config {
	return tcn.Config{
		Cell: tcn.CellRelease, VocabSize: tcn.VocabSize, DModel: 64, DFF: 128, Layers: 48,
		KernelSize: 3, Dilations: []int{1, 2, 4, 8, 16, 32, 64, 128}, RMSEps: 1e-6,
	}.WithDefaults()
}

// modelOrDefault is what --model names as a node takes it: the folder of a
// file, a folder, or a CID; "" is the default model, kept in the data folder.
func modelOrDefault(ctx context.Context, s *streams, named, data string) (string, error) {
	if named == "" {
		return defaultModel(ctx, s, data)
	}
	return modelFolder(named), nil
}

// folderOrDefault is the folder of a model named by itself or by a file in it;
// "" is the default model, kept in the data folder.
func folderOrDefault(ctx context.Context, s *streams, named, data string) (string, error) {
	if named != "" {
		return modelFolder(named), nil
	}
	folder, err := dataFolder(data)
	if err != nil {
		return "", err
	}
	return defaultModel(ctx, s, folder)
}

// defaultModel makes the default model in a folder, unless it is there.
func defaultModel(ctx context.Context, s *streams, in string) (string, error) {
	s.note("no model named: using a small random one, whose text means nothing (--model names another)")
	folder := filepath.Join(in, "models", "seeded")
	if _, err := os.Stat(folder); err == nil {
		return folder, nil
	}
	if err := initModel(ctx, folder, seededConfig(), seededSeed); err != nil {
		if _, e := os.Stat(folder); e == nil && !errors.Is(err, context.Canceled) {
			return folder, nil // another process made it meanwhile
		}
		return "", err
	}
	return folder, nil
}

// initModel makes a model folder of random weights.
func initModel(ctx context.Context, folder string, config tcn.Config, seed uint64) error {
	_, err := modelfile.Init(ctx, folder, config, seed, nil)
	return err
}
