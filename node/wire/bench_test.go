package wire

import (
	"bytes"
	"fmt"
	"testing"
)

// benchSizes are the payloads of one decoded byte and of a full frame of prefill.
var benchSizes = []int{16 << 10, 1 << 20}

func eachSize(b *testing.B, run func(b *testing.B, rows []float32, body []byte, number Number)) {
	for _, number := range []Number{F32, BF16} {
		for _, size := range benchSizes {
			b.Run(fmt.Sprintf("%s/%dKiB", numberName(number), size>>10), func(b *testing.B) {
				rows := make([]float32, size/number.Bytes())
				for i := range rows {
					rows[i] = float32(i%512) - 255.5
				}
				b.SetBytes(int64(size))
				run(b, rows, AppendRows(nil, rows, number), number)
			})
		}
	}
}

func numberName(n Number) string {
	if n == BF16 {
		return "bf16"
	}
	return "f32"
}

func BenchmarkAppendRows(b *testing.B) {
	eachSize(b, func(b *testing.B, rows []float32, body []byte, number Number) {
		for b.Loop() {
			body = AppendRows(body[:0], rows, number)
		}
	})
}

func BenchmarkParseRows(b *testing.B) {
	eachSize(b, func(b *testing.B, rows []float32, body []byte, number Number) {
		for b.Loop() {
			if err := ParseRows(body, rows, number, nil); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkFrameRead(b *testing.B) {
	for _, size := range benchSizes {
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			sent := rowsFrame()
			sent.Body = make([]byte, size)
			encoded := sent.Append(nil)
			var r bytes.Reader
			var got Frame
			b.SetBytes(int64(len(encoded)))
			b.ReportAllocs()
			for b.Loop() {
				r.Reset(encoded)
				if err := got.Read(&r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkCopy is the memory speed that the others are to be compared with.
func BenchmarkCopy(b *testing.B) {
	for _, size := range benchSizes {
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			from, to := make([]byte, size), make([]byte, size)
			b.SetBytes(int64(size))
			for b.Loop() {
				copy(to, from)
			}
		})
	}
}
