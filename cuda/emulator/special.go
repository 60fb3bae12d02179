package emulator

import "strings"

// specialNamed is what a special register holds; nil if there is none of the name.
func specialNamed(name string) func(w *warp, i int) uint64 {
	axis := 0
	if base, dim, ok := strings.Cut(name, "."); ok {
		if len(dim) != 1 || dim < "x" || dim > "z" {
			return nil
		}
		name, axis = base, int(dim[0]-'x')
	}
	switch name {
	case "tid":
		return func(w *warp, i int) uint64 { return uint64(w.thread(i)[axis]) }
	case "ntid":
		return func(w *warp, _ int) uint64 { return uint64(w.block.size[axis]) }
	case "ctaid":
		return func(w *warp, _ int) uint64 { return uint64(w.block.index[axis]) }
	case "nctaid":
		return func(w *warp, _ int) uint64 { return uint64(w.block.grid[axis]) }
	case "laneid":
		return func(_ *warp, i int) uint64 { return uint64(i) }
	case "warpid":
		return func(w *warp, _ int) uint64 { return uint64(w.number) }
	case "smid", "gridid":
		return func(*warp, int) uint64 { return 0 }
	case "nwarpid", "nsmid":
		return func(*warp, int) uint64 { return 32 }
	case "lanemask_eq":
		return func(_ *warp, i int) uint64 { return 1 << i }
	case "lanemask_lt":
		return func(_ *warp, i int) uint64 { return 1<<i - 1 }
	case "lanemask_le":
		return func(_ *warp, i int) uint64 { return 2<<i - 1 }
	case "lanemask_gt":
		return func(_ *warp, i int) uint64 { return allLanes &^ (2<<i - 1) }
	case "lanemask_ge":
		return func(_ *warp, i int) uint64 { return allLanes &^ (1<<i - 1) }
	case "dynamic_smem_size":
		return func(w *warp, _ int) uint64 { return uint64(len(w.block.shared)) - uint64(w.block.program.static) }
	}
	return nil
}
