package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/ipfs/go-cid"

	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/modelfile"
	"github.com/zetagrid/zetagrid/tcn/modelfile/standard"
)

// seededConfig is what zetagrid model init and train make when no sizes are
// given: small enough to be made at once, with enough Fractal Blocks for a grid
// of six, and no end to its text.
func seededConfig() tcn.Config {
	return tcn.Config{
		Cell: tcn.CellRelease, VocabSize: tcn.VocabSize, DModel: 64, DFF: 128, Layers: 48,
		KernelSize: 3, Dilations: []int{1, 2, 4, 8, 16, 32, 64, 128}, RMSEps: 1e-6,
	}.WithDefaults()
}

// modelOrDefault is what --model names as a node takes it: the folder of a
// file, a folder, or a CID; "" is the default model, kept in the data folder.
func modelOrDefault(s *streams, named, data string) (string, error) {
	if named == "" {
		return defaultModel(s, data)
	}
	_, err := modelNamed(named)
	return modelFolder(named), err
}

// modelNamed says whether a name is a CID's, of no folder that is there. Errors:
// neither one.
func modelNamed(name string) (isCID bool, err error) {
	if _, err = os.Stat(name); err == nil {
		return false, nil
	}
	if _, wrong := cid.Decode(name); wrong == nil {
		return true, nil
	}
	return false, fmt.Errorf("neither a model folder nor a CID: %w", err)
}

// folderOrDefault is the folder of a model named by itself or by a file in it;
// "" is the default model, kept in the data folder.
func folderOrDefault(s *streams, named, data string) (string, error) {
	if named != "" {
		isCID, err := modelNamed(named)
		if isCID {
			err = &remedy{fmt.Errorf("%s is a Model CID, and this works on a folder", named), "name the model folder; up, run, logits, eval and plan take a CID"}
		}
		return modelFolder(named), err
	}
	folder, err := dataFolder(data)
	if err != nil {
		return "", err
	}
	return defaultModel(s, folder)
}

// defaultModel is the folder of the model in this program, put into a data
// folder unless it is there.
func defaultModel(s *streams, in string) (string, error) {
	model, _, err := standard.Model()
	if err != nil {
		return "", err
	}
	what := "the one in this program"
	if model.Provenance[modelfile.FactSource] == "seeded" {
		what += ", which is random and means nothing"
	}
	s.note("no model named: using %s (--model names another)", what)
	folder, err := standard.Unpack(filepath.Join(in, "models"))
	if err != nil {
		return "", &remedy{err, "make room or the folder writable, or name a model with --model"}
	}
	return folder, nil
}
