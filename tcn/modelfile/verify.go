package modelfile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ipfs/go-cid"
)

// VerifyError is what is wrong with a model folder. At least one field is set.
type VerifyError struct {
	First      *FileError // the first bad file, in the order of Folder.Files
	Missing    []string   // files the manifests name that are not there
	Unexpected []string   // files no manifest names
}

func (e *VerifyError) Error() string {
	var parts []string
	if e.First != nil {
		parts = append(parts, "bad file "+e.First.Error())
	}
	if len(e.Missing) > 0 {
		parts = append(parts, "missing "+strings.Join(e.Missing, ", "))
	}
	if len(e.Unexpected) > 0 {
		parts = append(parts, "unexpected "+strings.Join(e.Unexpected, ", "))
	}
	return "modelfile: verify: " + strings.Join(parts, "; ")
}

// Unwrap gives the first bad file's error, or ErrFolder.
func (e *VerifyError) Unwrap() error {
	if e.First != nil {
		return e.First
	}
	return ErrFolder
}

// Verify reads every file of a model folder again: manifests and tensor files
// against their CIDs, tensors against the config, and the folder against the
// manifests. Errors: *VerifyError, and the context's.
func Verify(ctx context.Context, dir string, report Progress) error {
	folder, err := OpenFolder(dir)
	if err != nil {
		var bad *FileError
		if errors.As(err, &bad) {
			return &VerifyError{First: bad}
		}
		return err
	}
	v := verifier{ctx: ctx, folder: folder, progress: &progress{report: report}}
	var present []FileRef
	for _, ref := range folder.files {
		info, err := os.Stat(filepath.Join(dir, ref.Path))
		if errors.Is(err, fs.ErrNotExist) {
			v.found.Missing = append(v.found.Missing, ref.Path)
			continue
		}
		if err == nil {
			v.progress.total += info.Size()
		}
		present = append(present, ref)
	}
	for _, ref := range present {
		if err := v.file(ref); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			v.found.First = &FileError{Path: ref.Path, Err: err}
			break
		}
	}
	if v.found.Unexpected, err = unexpected(folder); err != nil {
		return err
	}
	if v.found.First != nil || len(v.found.Missing) > 0 || len(v.found.Unexpected) > 0 {
		return &v.found
	}
	return nil
}

type verifier struct {
	ctx      context.Context
	folder   *Folder
	progress *progress
	found    VerifyError
}

// file checks one tensor file's bytes, then its tensors.
func (v *verifier) file(ref FileRef) error {
	v.progress.doing = ref.Path
	path := filepath.Join(v.folder.dir, ref.Path)
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // read only
	dag, err := BuildFileDAG(&meteredReader{ctx: v.ctx, r: f, progress: v.progress})
	if err != nil {
		return err
	}
	if dag.Root != ref.CID {
		return fmt.Errorf("%w: it is %s", ErrCorrupt, dag.Root)
	}
	return v.folder.checkTensors(ref.CID, path)
}

// checkTensors reads the tensors of file c as every use of it does.
func (f *Folder) checkTensors(c cid.Cid, path string) error {
	config := f.genome.Config
	// Uses by blocks of equally many layers are the same use.
	type use struct {
		role   Role
		layers int
	}
	done := make(map[use]bool)
	blocks := func(role Role, links []Link, open func(block int) (io.Closer, error)) error {
		for block, link := range links {
			u := use{role, blockLayers(config, block)}
			if link != c || done[u] {
				continue
			}
			done[u] = true
			closer, err := open(block)
			if err != nil {
				return err
			}
			if closer != nil {
				if err := closer.Close(); err != nil {
					return err
				}
			}
		}
		return nil
	}
	small := func(block int) (io.Closer, error) {
		_, err := LoadSmall(path, config, block)
		return nil, err
	}
	err := blocks(RoleTile, f.genome.Tiles, func(block int) (io.Closer, error) {
		_, closer, err := OpenTile(path, config, block)
		return closer, err
	})
	err = errors.Join(err, blocks(RoleSmall, f.model.Small, small))
	if f.soul != nil {
		err = errors.Join(err, blocks(RoleSmall, f.soul.Small, small))
		err = errors.Join(err, blocks(RoleSoul, f.soul.Slices, func(block int) (io.Closer, error) {
			_, closer, err := OpenSoulSlice(path, config, block, f.soul.Rank)
			return closer, err
		}))
	}
	if f.model.Ends == c || f.soul != nil && f.soul.Ends != nil && *f.soul.Ends == c {
		_, endsErr := LoadEnds(path, config)
		err = errors.Join(err, endsErr)
	}
	return err
}

// unexpected lists the files in a folder that its manifests do not name.
func unexpected(folder *Folder) ([]string, error) {
	known := map[string]bool{ModelFile: true, GenomeFile: true, CIDFile: true, SoulFile: folder.soul != nil}
	for _, ref := range folder.files {
		known[ref.Path] = true
	}
	var found []string
	err := filepath.WalkDir(folder.dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, err := filepath.Rel(folder.dir, path)
		if err == nil && !known[name] {
			found = append(found, name)
		}
		return err
	})
	slices.Sort(found)
	return found, err
}

// meteredReader stops when the context does and counts what passes.
type meteredReader struct {
	ctx      context.Context
	r        io.Reader
	progress *progress
}

func (m *meteredReader) Read(p []byte) (int, error) {
	if err := m.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := m.r.Read(p)
	m.progress.add(n)
	return n, err
}
