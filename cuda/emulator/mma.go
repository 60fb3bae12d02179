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
	ofA, ofB := &bytesAs[in.kind&1], &bytesAs[in.kind>>1]
	for k := range 2 {
		firsts, seconds, columns := &w.r[in.many[2*k]], &w.r[in.many[2*k+1]], &w.r[in.more[k]]
		for i := range 32 {
			g, at := i>>2, k*16+4*(i&3)
			first, second, v := firsts[i], seconds[i], columns[i]
			row, col := a[g][at:at+4:at+4], b[g][at:at+4:at+4]
			row[0] = ofA[uint8(first)] + ofA[uint8(second)]<<32
			row[1] = ofA[uint8(first>>8)] + ofA[uint8(second>>8)]<<32
			row[2] = ofA[uint8(first>>16)] + ofA[uint8(second>>16)]<<32
			row[3] = ofA[uint8(first>>24)] + ofA[uint8(second>>24)]<<32
			col[0], col[1] = ofB[uint8(v)], ofB[uint8(v>>8)]
			col[2], col[3] = ofB[uint8(v>>16)], ofB[uint8(v>>24)]
		}
	}
	var out [4]lanes
	for i := range 32 {
		g, t := i>>2, i&3
		for k := range 2 {
			row, col := &a[g], &b[2*t+k]
			var sum int64
			for j := 0; j < 32; j += 8 {
				r, c := row[j:j+8:j+8], col[j:j+8:j+8]
				sum += r[0]*c[0] + r[1]*c[1] + r[2]*c[2] + r[3]*c[3] + r[4]*c[4] + r[5]*c[5] + r[6]*c[6] + r[7]*c[7]
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

// bytesAs is what a byte is as an unsigned and as a signed number.
var bytesAs = func() (t [2][256]int64) {
	for i := range t[0] {
		t[0][i], t[1][i] = int64(i), int64(int8(i))
	}
	return t
}()
