package kernel

//go:generate go -C asm run . -level avx512 -out ../avx512_amd64.s -stubs ../avx512_amd64.go -pkg kernel
//go:generate go -C asm run . -level avx2 -out ../avx2_amd64.s -stubs ../avx2_amd64.go -pkg kernel
//go:generate go -C asm run . -level avx512 -quant -out ../quantavx512_amd64.s -stubs ../quantavx512_amd64.go -pkg kernel
//go:generate go -C asm run . -level avx2 -quant -out ../quantavx2_amd64.s -stubs ../quantavx2_amd64.go -pkg kernel
//go:generate go -C asm run . -level vnni -quant -out ../quantvnni_amd64.s -stubs ../quantvnni_amd64.go -pkg kernel
//go:generate go -C asm run ./neon -out ../neon_arm64.s -stubs ../neon_arm64.go

import (
	"errors"
	"fmt"
	"strings"
)

// ErrLevel: the machine lacks the instruction level, or there is none of that
// name.
var ErrLevel = errors.New("kernel: instruction level not available")

// Available returns the Sets this machine can run, the fastest first. The last
// is Portable.
func Available() []*Set { return append(native(), Portable()) }

// Best returns the fastest Set this machine can run.
func Best() *Set { return Available()[0] }

// Named returns the Set called name: "avx512", "avx2", "neon" or "portable". If the
// machine lacks it the error, an ErrLevel, lists those it has.
func Named(name string) (*Set, error) {
	var names []string
	for _, s := range Available() {
		if s.Name == name {
			return s, nil
		}
		names = append(names, s.Name)
	}
	return nil, fmt.Errorf("%w: %q; this machine has %s", ErrLevel, name, strings.Join(names, ", "))
}
