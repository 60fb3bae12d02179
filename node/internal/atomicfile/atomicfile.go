// Package atomicfile replaces small files so that a crash at any instant leaves
// either the old bytes or the new ones, never a mixture and never none.
//
// Laws:
//
//  1. The new bytes are on the disk (fsync) before the name points at them.
//  2. A failed write leaves the old file untouched and no temporary file.
package atomicfile

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Write replaces the file at path by data, with permission bits mode. The folder
// must exist.
func Write(path string, data []byte, mode os.FileMode) (err error) {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			_ = f.Close() // a second Close only repeats what err already says
			err = errors.Join(fmt.Errorf("write %s: %w", path, err), ignoreGone(os.Remove(f.Name())))
		}
	}()
	if err := f.Chmod(mode); err != nil {
		return err
	}
	if _, err := f.Write(data); err != nil {
		return err
	}
	return Commit(f, path)
}

// Commit makes the bytes of the temporary file f durable, closes it and gives it
// the name path, in the same file system. On an error the caller still owns the
// temporary name.
func Commit(f *os.File, path string) error {
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes a rename in dir durable. File systems that cannot sync a folder
// are left to their own promises.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	_ = d.Sync() // some systems refuse it for folders; the rename itself is atomic
	return d.Close()
}

func ignoreGone(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}
