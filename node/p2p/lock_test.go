package p2p

import (
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
)

// One data folder is one key, so it serves one host at a time, and the next after
// that has closed.
func TestFolderServesOneHost(t *testing.T) {
	dir := t.TempDir()
	key, err := LoadKey(dir)
	if err != nil {
		t.Fatal(err)
	}
	options := Options{Key: key, Listen: loopback, DataDir: dir, Logger: slog.New(slog.DiscardHandler)}
	first, err := New(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	if second, err := New(t.Context(), options); !errors.Is(err, ErrInUse) {
		t.Errorf("a second host: %v, %v", second, err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	third, err := New(t.Context(), options)
	if err != nil {
		t.Fatalf("after the first has closed: %v", err)
	}
	if err := third.Close(); err != nil {
		t.Fatal(err)
	}
}

// A folder where no file can be locked costs the lock, not the node.
func TestFolderWithoutLocks(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, LockFile), 0o700); err != nil {
		t.Fatal(err)
	}
	unlock, err := lockFolder(dir, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		t.Fatal(err)
	}
	if err := unlock(); err != nil {
		t.Fatal(err)
	}
}
