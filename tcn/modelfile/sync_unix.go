//go:build unix

package modelfile

import (
	"errors"
	"os"
)

// syncFolder makes a folder's entries survive a power cut.
func syncFolder(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
