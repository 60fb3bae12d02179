package atomicfile_test

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/zetagrid/zetagrid/node/internal/atomicfile"
)

func Example() {
	dir, err := os.MkdirTemp("", "atomicfile")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	path := filepath.Join(dir, "counter")
	for _, value := range []string{"1", "2"} {
		if err := atomicfile.Write(path, []byte(value), 0o600); err != nil {
			panic(err)
		}
	}
	data, _ := os.ReadFile(path)
	fmt.Println(string(data))
	// Output: 2
}

// A write that cannot succeed leaves the old bytes and nothing beside them.
func TestFailedWriteKeepsTheOldFile(t *testing.T) {
	dir := t.TempDir()
	// A folder that is not empty cannot be replaced by a file.
	path := filepath.Join(dir, "name")
	if err := os.MkdirAll(filepath.Join(path, "child"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := atomicfile.Write(path, []byte("new"), 0o600); err == nil {
		t.Fatal("a folder was replaced by a file")
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 1 || !entries[0].IsDir() {
		t.Fatalf("left behind: %v", entries)
	}
	if err := atomicfile.Write(filepath.Join(dir, "no", "folder"), nil, 0o600); err == nil {
		t.Fatal("wrote into a folder that does not exist")
	}
}

func TestMode(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no permission bits")
	}
	path := filepath.Join(t.TempDir(), "key")
	if err := atomicfile.Write(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v", info.Mode())
	}
}

// A link that leads out of the folder is replaced, not followed.
func TestLinksAreNotFollowed(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "outside")
	if err := os.WriteFile(outside, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.Symlink(outside, filepath.Join(dir, "file")); err != nil {
		t.Skip("no links here:", err)
	}
	if err := os.Symlink(filepath.Dir(outside), filepath.Join(dir, "folder")); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = root.Close() }()
	if err := atomicfile.WriteIn(root, "file", []byte("new"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := atomicfile.WriteIn(root, filepath.Join("folder", "outside"), []byte("new"), 0o600); err == nil {
		t.Error("wrote through a link to a folder outside")
	}
	if data, err := os.ReadFile(outside); err != nil || string(data) != "old" {
		t.Errorf("the file outside holds %q, %v", data, err)
	}
}

// What a killed process left behind is in nobody's way.
func TestTemporaryFilesDoNotCollide(t *testing.T) {
	dir := t.TempDir()
	stale := filepath.Join(dir, atomicfile.TempPrefix+"name.0")
	if err := os.WriteFile(stale, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "name")
	if err := atomicfile.Write(path, []byte("whole"), 0o600); err != nil {
		t.Fatal(err)
	}
	if data, err := os.ReadFile(path); err != nil || string(data) != "whole" {
		t.Errorf("%q, %v", data, err)
	}
}
