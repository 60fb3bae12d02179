package kernels

import (
	"fmt"
	"testing"

	"github.com/zetagrid/zetagrid/tcn/kernel"
)

func TestQuantize(t *testing.T) {
	l := newLab(t)
	for i, width := range widths {
		t.Run(fmt.Sprint(width), func(t *testing.T) {
			r := l.with(t)
			b := newBatch(r, []*sequence{{count: 7, hi: 4, routing: 1}}) // and a row that is none
			plain := b.matrix(width, ordinary, tiny, faint, huge, empty, halfway, broken)
			for c := range width {
				plain[(b.rows-1)*width+c] = 0
			}
			turned := make([]float32, len(plain))
			signs := make([]byte, (width+7)/8)
			maxPlain, maxTurned := make([]uint32, b.rows), make([]uint32, b.rows)
			for row := range b.rows {
				lo, hi := row*width, (row+1)*width
				kernel.Portable().Hadamard(turned[lo:hi], plain[lo:hi], signs)
				maxPlain[row], maxTurned[row] = largest(plain[lo:hi]), largest(turned[lo:hi])
			}
			args := QuantizeArgs{
				Plain:       put(r.rig, plain),
				Spread:      Spread{Rotated: put(r.rig, turned), MaxRotated: put(r.rig, maxTurned), MaxPlain: put(r.rig, maxPlain)},
				RotatedRows: b.int8Rows(width), PlainRows: b.int8Rows(width),
				Rows: int32(b.rows), Width: int32(width), Stride: int32(b.rows + 1),
			}
			zero := make([]int32, b.rows+1)
			args.RotatedRows.Sum, args.PlainRows.Sum = put(r.rig, zero), put(r.rig, zero)
			if i%4 == 1 {
				args.PlainRows = Int8Rows{}
			}
			if i%4 == 2 {
				args.RotatedRows = Int8Rows{}
			}
			r.runAll(Quantize(args))
			for row := range b.rows {
				lo, hi := row*width, (row+1)*width
				if args.RotatedRows.Q != 0 {
					b.sameInt8(fmt.Sprintf("row %d rotated", row), row, args.RotatedRows, turned[lo:hi])
				}
				if args.PlainRows.Q != 0 {
					b.sameInt8(fmt.Sprintf("row %d plain", row), row, args.PlainRows, plain[lo:hi])
				}
			}
		})
	}
}
