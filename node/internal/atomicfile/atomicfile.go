// Package atomicfile replaces files so that a crash at any instant leaves either
// the old bytes or the new ones, never a mixture and never none.
//
// Laws:
//
//  1. The new bytes are on the disk (fsync) before the name points at them.
//  2. A failed write leaves the old file untouched and no temporary file; a
//     process killed in the middle leaves one, whose name begins with TempPrefix.
//  3. Nothing outside the given folder is written, whatever links lie in it.
package atomicfile

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// TempPrefix begins the names of temporary files.
const TempPrefix = ".tmp-"

// Write replaces the file at path by data, with permission bits mode. The folder
// must exist.
func Write(path string, data []byte, mode os.FileMode) error {
	root, err := os.OpenRoot(filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return errors.Join(WriteIn(root, filepath.Base(path), data, mode), root.Close())
}

// WriteIn is Write for a name below root.
func WriteIn(root *os.Root, name string, data []byte, mode os.FileMode) (err error) {
	f, temp, err := createTemp(root, name, mode)
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	defer func() {
		if err != nil {
			_ = f.Close() // a second Close only repeats what err already says
			err = errors.Join(fmt.Errorf("write %s: %w", name, err), ignoreGone(root.Remove(temp)))
		}
	}()
	if err := f.Chmod(mode); err != nil { // whatever the umask
		return err
	}
	if _, err := f.Write(data); err != nil {
		return err
	}
	return Commit(root, f, temp, name)
}

// createTemp makes a new file beside name.
func createTemp(root *os.Root, name string, mode os.FileMode) (f *os.File, temp string, err error) {
	dir, base := filepath.Split(name)
	for n := 0; ; n++ {
		temp = filepath.Join(dir, TempPrefix+base+"."+strconv.Itoa(n))
		f, err = root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
		if !errors.Is(err, os.ErrExist) {
			return f, temp, err
		}
	}
}

// Commit makes the bytes of f, the file called temp, durable, closes it and
// renames it to name, in the same file system. On an error the caller still owns
// temp.
func Commit(root *os.Root, f *os.File, temp, name string) error {
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := root.Rename(temp, name); err != nil {
		return err
	}
	return syncDir(root, filepath.Dir(name))
}

// syncDir makes a rename in dir durable. File systems that cannot sync a folder
// are left to their own promises.
func syncDir(root *os.Root, dir string) error {
	d, err := root.Open(dir)
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
