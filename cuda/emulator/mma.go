package emulator

import (
	"strings"

	"github.com/zetagrid/zetagrid/cuda/device"
	"github.com/zetagrid/zetagrid/cuda/emulator/ptx"
)

// multiply is mma.sync.aligned.m16n8k32.row.col.s32.….….s32.
func (d *decoder) multiply(in *instruction) error {
	parts := d.in.Parts
	if len(parts) < 10 || strings.Join(parts[:7], ".") != "mma.sync.aligned.m16n8k32.row.col.s32" {
		return d.notKnown("not known here")
	}
	parts = parts[7:]
	if parts[len(parts)-1] != "s32" || len(parts) != 3 {
		return d.notKnown("not known here") // satfinite too: sums wrap here
	}
	a, b := ptx.TypeNamed(parts[0]), ptx.TypeNamed(parts[1])
	if a != ptx.S8 && a != ptx.U8 || b != ptx.S8 && b != ptx.U8 {
		return d.notKnown("not known here")
	}
	if err := d.operands(4, 4); err != nil {
		return err
	}
	in.kind = byte(bit(a == ptx.S8) | bit(b == ptx.S8)<<1)
	for i, list := range []*[]int32{&in.many, &in.more, &in.rest} {
		var err error
		op := d.in.Operands[1+i]
		if op.Kind != ptx.Vector || len(op.List) != []int{4, 2, 4}[i] {
			return d.notKnown("operands of another size")
		}
		if *list, err = d.list(op, ptx.B32, false); err != nil {
			return err
		}
	}
	to, err := d.list(d.in.Operands[0], ptx.B32, true)
	if err != nil || len(to) != 4 {
		return d.notKnown("operands of another size")
	}
	in.rest = append(in.rest, to...)
	in.run = runMultiply
	return nil
}

// runMultiply: with g = lane/4 and t = lane mod 4, a lane holds of A [16, 32] the
// rows g and g+8 at columns 4t… and 16+4t…, of B [32, 8] column g at rows 4t… and
// 16+4t…, of C and D [16, 8] the rows g and g+8 at columns 2t and 2t+1.
func runMultiply(w *warp, in *instruction, active uint32) {
	if active != allLanes {
		w.fail(in, firstLane(active), device.ErrIllegalAccess, "lanes %#x are missing", ^active)
		return
	}
	// Rows g and g+8 share a number, the second 32 bits up: their sums fit there.
	var a, b [8][32]int64
	for i := range 32 {
		g, t := i>>2, i&3
		for k := range 2 {
			first, second := w.r[in.many[2*k]][i], w.r[in.many[2*k+1]][i]
			v := w.r[in.more[k]][i]
			for j := range 4 {
				at := k*16 + 4*t + j
				a[g][at] = int64(byteOf(first, j, in.kind&1 != 0)) + int64(byteOf(second, j, in.kind&1 != 0))<<32
				b[g][at] = int64(byteOf(v, j, in.kind&2 != 0))
			}
		}
	}
	var out [4]lanes
	for i := range 32 {
		g, t := i>>2, i&3
		for k := range 2 {
			row, col := &a[g], &b[2*t+k]
			var sum int64
			for j := range row {
				sum += row[j] * col[j]
			}
			low := int32(sum)
			out[k][i] = uint64(uint32(w.r[in.rest[k]][i]) + uint32(low))
			out[2+k][i] = uint64(uint32(w.r[in.rest[2+k]][i]) + uint32((sum-int64(low))>>32))
		}
	}
	for k := range out {
		w.r[in.rest[4+k]] = out[k]
	}
}
