//go:build cuda && linux

package driver

import (
	"debug/elf"
	"os/exec"
	"path/filepath"
	"testing"
)

// What stands in for the driver's library is seen by the program alone: linked so that
// all it defines can be found from outside, nothing is.
func TestStubIsHidden(t *testing.T) {
	library := filepath.Join(t.TempDir(), "stub.so")
	build := exec.Command("sh", "-c", `"${CC:-cc}" -shared -fPIC -rdynamic -o $0 libcuda/libcuda.c -ldl`, library)
	if said, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	file, err := elf.Open(library)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { must(t, file.Close()) })
	symbols, err := file.DynamicSymbols()
	must(t, err)
	for _, s := range symbols {
		if s.Section != elf.SHN_UNDEF {
			t.Errorf("%s is seen outside", s.Name)
		}
	}
}
