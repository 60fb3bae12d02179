// Package standard is the model in the program: the one that zetagrid uses when
// none is named. It is a model folder, embedded file by file; README.md says
// where it comes from.
//
// # Laws
//
//  1. What is unpacked is the embedded folder to the byte, whole or not at all;
//     what lies there and differs is replaced.
//  2. Replacing the files in model is all it takes to replace the model: the
//     figures that tests hold it to are in its own checklist.
//
// # Limits
//
// The folder takes at most [MaxBytes].
package standard

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/ipfs/go-cid"

	"github.com/zetagrid/zetagrid/tcn/modelfile"
)

//go:embed model
var embedded embed.FS

// MaxBytes bounds the embedded folder, 12 MiB: whoever builds or fetches the
// program has it to carry.
const MaxBytes = 12 << 20

// folder is the model folder's name among the embedded files.
const folder = "model"

// Model is the embedded Model's manifest and CID. Errors: those of
// modelfile.DecodeModel; none with the files that belong here.
func Model() (modelfile.Model, cid.Cid, error) {
	data, err := embedded.ReadFile(folder + "/" + modelfile.ModelFile)
	if err != nil {
		return modelfile.Model{}, cid.Undef, err
	}
	m, err := modelfile.DecodeModel(data)
	if err != nil {
		return modelfile.Model{}, cid.Undef, err
	}
	c, err := modelfile.ManifestCID(data)
	return m, c, err
}

// Unpack puts the model folder into dir, named by the Model's CID, unless it is
// there already, and gives its path. Several processes may unpack at once.
// Errors: those of the file system.
func Unpack(dir string) (string, error) {
	_, c, err := Model()
	if err != nil {
		return "", fmt.Errorf("standard: %w", err)
	}
	target := filepath.Join(dir, c.String())
	if intact(target) {
		return target, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("standard: %w", err)
	}
	temp, err := os.MkdirTemp(dir, ".unpacking-")
	if err != nil {
		return "", fmt.Errorf("standard: %w", err)
	}
	if err := errors.Join(unpack(filepath.Join(temp, "new")), replace(temp, target)); err != nil {
		return "", fmt.Errorf("standard: %w", errors.Join(err, os.RemoveAll(temp)))
	}
	return target, os.RemoveAll(temp)
}

// replace moves temp's "new" to target, and what was there into temp.
func replace(temp, target string) error {
	if intact(target) {
		return nil // another process was quicker
	}
	if err := os.Rename(target, filepath.Join(temp, "old")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	err := os.Rename(filepath.Join(temp, "new"), target)
	if err != nil && intact(target) {
		return nil // quicker still
	}
	return err
}

// each calls visit for every embedded file, with its path below the folder.
func each(visit func(name string, data []byte) error) error {
	return fs.WalkDir(embedded, folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := embedded.ReadFile(path)
		if err != nil {
			return err
		}
		return visit(filepath.FromSlash(strings.TrimPrefix(path, folder+"/")), data)
	})
}

// unpack writes every file into dir.
func unpack(dir string) error {
	return each(func(name string, data []byte) error {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		if err != nil {
			return err
		}
		_, err = f.Write(data)
		if err == nil {
			err = f.Sync()
		}
		return errors.Join(err, f.Close())
	})
}

// errDiffers: a file is not the embedded one.
var errDiffers = errors.New("standard: file differs")

// intact reports whether dir holds the embedded files, to the byte, and nothing
// else.
func intact(dir string) bool {
	want := map[string]bool{}
	err := each(func(name string, data []byte) error {
		want[name] = true
		there, err := os.ReadFile(filepath.Join(dir, name))
		if err == nil && !bytes.Equal(there, data) {
			err = errDiffers
		}
		return err
	})
	if err != nil {
		return false
	}
	err = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		if name, err := filepath.Rel(dir, path); err != nil || !want[name] {
			return errDiffers
		}
		return nil
	})
	return err == nil
}
