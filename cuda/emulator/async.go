package emulator

import (
	"slices"
	"strings"

	"github.com/zetagrid/zetagrid/cuda/device"
	"github.com/zetagrid/zetagrid/cuda/emulator/ptx"
)

// pending is a copy to shared memory that nobody has waited for. It is made when
// the thread waits: a kernel that forgets to finds what was there before.
type pending struct {
	group uint32 // copies before it that the thread has closed a group of
	lane  uint8
	n     uint8
	to    uint64
	data  [16]byte
}

// copyAsync is cp.async.
func (d *decoder) copyAsync(in *instruction) error {
	parts, ops := d.in.Parts, d.in.Operands
	if len(parts) < 3 || parts[1] != "async" {
		return d.notKnown("not known here")
	}
	switch parts[2] {
	case "commit_group":
		in.run = runCommit
		return d.operands(0, 0)
	case "wait_all":
		in.run, in.all = runWaitAll, allLanes
		return d.operands(0, 0)
	case "wait_group":
		if err := d.operands(1, 1); err != nil {
			return err
		}
		if ops[0].Kind != ptx.Immediate {
			return d.notKnown("not known here")
		}
		in.run, in.all = runWaitGroup, ops[0].Value
		return nil
	case "ca", "cg":
	default:
		return d.notKnown("not known here")
	}
	if err := d.operands(3, 4); err != nil {
		return err
	}
	if ops[0].Kind != ptx.Address || ops[1].Kind != ptx.Address || ops[2].Kind != ptx.Immediate || len(ops[0].List) != 1 || len(ops[1].List) != 1 {
		return d.notKnown("not known here")
	}
	in.size = uint8(ops[2].Value)
	if !slices.Contains([]uint64{4, 8, 16}, ops[2].Value) || parts[2] == "cg" && in.size != 16 {
		return d.notKnown("%d bytes", ops[2].Value)
	}
	d.grain(ptx.Shared, uint64(in.size))
	d.grain(ptx.Global, uint64(in.size))
	in.offset, in.all = uint64(ops[0].Offset), uint64(ops[1].Offset)
	in.space, in.run = ptx.Shared, runCopyAsync
	d.remember(in)
	var err error
	if in.a, err = d.source(ops[0].List[0], ptx.NoType); err != nil {
		return err
	}
	if in.b, err = d.source(ops[1].List[0], ptx.U64); err != nil {
		return err
	}
	if len(ops) == 4 {
		in.c, err = d.source(ops[3], ptx.U32)
	} else {
		in.c = d.constant(ops[2].Value)
	}
	return err
}

func runCopyAsync(w *warp, in *instruction, active uint32) {
	n := uint64(in.size)
	for m := active; m != 0; m &= m - 1 {
		i := firstLane(m)
		p := pending{lane: uint8(i), n: in.size, group: w.closed[i], to: w.r[in.a][i] + in.offset}
		if length := min(w.r[in.c][i], n); length > 0 {
			at := w.r[in.b][i] + in.all
			if at&(n-1) != 0 {
				w.fail(in, i, device.ErrIllegalAccess, "address %#x is not aligned to %d bytes", at, n)
				return
			}
			source := w.global(in, i, at, n, reads)
			if source == nil {
				return
			}
			copy(p.data[:length], source)
		}
		// From now on the copy may happen at any time.
		if w.reach(in, i, p.to, n, writes) == nil {
			return
		}
		w.copies = append(w.copies, p)
	}
}

func runCommit(w *warp, in *instruction, active uint32) {
	for m := active; m != 0; m &= m - 1 {
		w.closed[firstLane(m)]++
	}
}

func runWaitAll(w *warp, in *instruction, active uint32) {
	w.arrivals(in, active, func(pending) bool { return true })
}

func runWaitGroup(w *warp, in *instruction, active uint32) {
	w.arrivals(in, active, func(p pending) bool { return uint64(p.group)+in.all < uint64(w.closed[p.lane]) })
}

// arrivals makes the copies of the active lanes that are due.
func (w *warp) arrivals(in *instruction, active uint32, due func(pending) bool) {
	left := w.copies[:0]
	for _, p := range w.copies {
		if active>>p.lane&1 == 0 || !due(p) {
			left = append(left, p)
			continue
		}
		copy(w.block.shared[p.to:], p.data[:p.n])
	}
	w.copies = left
}

// loadMatrix is ldmatrix: up to four matrices of 8 rows of 16 bytes.
func (d *decoder) loadMatrix(in *instruction) error {
	if err := d.operands(2, 2); err != nil {
		return err
	}
	if name := d.in.Name; !strings.HasPrefix(name, "ldmatrix.sync.aligned.m8n8.x") || slices.Contains(d.in.Parts, "trans") || !strings.HasSuffix(name, ".b16") {
		return d.notKnown("not known here")
	}
	var err error
	if in.many, err = d.list(d.in.Operands[0], ptx.B32, true); err != nil {
		return err
	}
	if n := len(in.many); n != 1 && n != 2 && n != 4 || d.in.Parts[4] != "x"+string(rune('0'+n)) {
		return d.notKnown("%d registers", n)
	}
	in.form, in.run = syncForm, runLoadMatrix
	return d.address(in, d.in.Operands[1])
}

func runLoadMatrix(w *warp, in *instruction, active uint32) {
	if active != allLanes {
		w.fail(in, firstLane(active), device.ErrIllegalAccess, "lanes %#x are missing", ^active)
		return
	}
	var rows [32][]byte
	for i := range 8 * len(in.many) {
		if rows[i] = w.reach(in, i, w.r[in.a][i]+in.offset, 16, reads); rows[i] == nil {
			return
		}
	}
	for k, r := range in.many {
		for i := range 32 {
			w.r[r][i] = load(rows[8*k+i/4][i%4*4:], 4)
		}
	}
}
