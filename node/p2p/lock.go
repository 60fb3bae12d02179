package p2p

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/gofrs/flock"
)

// LockFile is the name of the file in the data folder by which one host at a time
// holds the folder. It stays after the host; only the lock on it goes.
const LockFile = "lock"

// ErrInUse says that another running host holds the data folder.
var ErrInUse = errors.New("data folder is in use by another running node")

// lockFolder takes dir for this process. Two hosts with one folder would have one
// key: the grid would see one node that contradicts itself. It fails with ErrInUse.
// Where the file system has no locks it goes without, and says so.
func lockFolder(dir string, log *slog.Logger) (unlock func() error, err error) {
	none := func() error { return nil }
	if dir == "" {
		return none, nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("data folder: %w", err)
	}
	lock := flock.New(filepath.Join(dir, LockFile), flock.SetPermissions(0o600))
	held, err := lock.TryLock()
	switch {
	case err != nil:
		log.Warn("data folder not locked: never start two nodes with it", "folder", dir, "error", err)
		return none, nil
	case !held:
		return nil, fmt.Errorf("%w: %s", ErrInUse, dir)
	}
	return lock.Unlock, nil
}
