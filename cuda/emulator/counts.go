package emulator

import "slices"

// Counts is what a device has done so far.
type Counts struct {
	Launches int // those of replayed graphs included
	Replays  int
	Copies   int   // of any kind
	Copied   int64 // bytes
	Kernels  map[string]KernelCounts
}

// KernelCounts is what the launches of a kernel have done.
type KernelCounts struct {
	Launches int
	Lanes    uint64            // instructions that threads have run
	By       map[string]uint64 // the same by instruction, "add.rn.f32"
	Lines    map[int]uint64    // the same by line of the text
}

type counts struct {
	Counts
	functions []*function
}

func (c *counts) add(f *function) { c.functions = append(c.functions, f) }

// Counts is what the device has done so far. Kernels of one name, of several
// texts, count together.
func (d *Device) Counts() Counts {
	out := d.counts.Counts
	out.Kernels = map[string]KernelCounts{}
	for _, f := range d.counts.functions {
		if f.launches == 0 {
			continue
		}
		k, ok := out.Kernels[f.name]
		if !ok {
			k.By, k.Lines = map[string]uint64{}, map[int]uint64{}
		}
		k.Launches += f.launches
		for i, n := range f.room.hits {
			if n == 0 {
				continue
			}
			k.Lanes += n
			k.By[f.code[i].name] += n
			k.Lines[int(f.code[i].line)] += n
		}
		out.Kernels[f.name] = k
	}
	return out
}

// Instructions is the instructions that a loaded kernel is made of, each once,
// those that never run included.
func (d *Device) Instructions(kernel string) []string {
	var names []string
	for _, f := range d.counts.functions {
		if f.name != kernel {
			continue
		}
		for i := range f.code {
			names = append(names, f.code[i].name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
