package cuda

import (
	"unsafe"

	"github.com/zetagrid/zetagrid/cuda/device"
)

// arena plans one allocation that holds many parts, and remembers what is to be
// copied to them. Parts that lie in the same host memory get one place.
type arena struct {
	bytes int64
	parts []part // of place, in order
	seen  map[origin]int64
}

// part is host memory and where in the arena its copy lies.
type part struct {
	at   int64
	data []byte
}

// origin is where a part lies on the host.
type origin struct {
	first *byte
	bytes int
}

// room reserves bytes and returns where they begin.
func (a *arena) room(bytes int64) int64 {
	at := a.bytes
	a.bytes += aligned(bytes)
	return at
}

// place reserves room for a copy of data, which is not empty.
func (a *arena) place(data []byte) int64 {
	key := origin{unsafe.SliceData(data), len(data)}
	if at, ok := a.seen[key]; ok {
		return at
	}
	if a.seen == nil {
		a.seen = map[origin]int64{}
	}
	at := a.room(int64(len(data)))
	a.seen[key] = at
	a.parts = append(a.parts, part{at, data})
	return at
}

// copyTo copies every part to its place in the memory that begins at base. When it
// returns no copy is on its way, also after an error.
func (a *arena) copyTo(s *stager, base device.Pointer, progress func(done int64)) error {
	for _, p := range a.parts {
		if err := s.write(base+device.Pointer(p.at), p.data); err != nil {
			_ = s.forget() // the first error says more
			return err
		}
		if progress != nil {
			progress(p.at + aligned(int64(len(p.data))))
		}
	}
	return s.flush()
}

// aligned is bytes rounded up to the alignment.
func aligned(bytes int64) int64 { return (bytes + alignment - 1) / alignment * alignment }

// bytesOf is the memory of numbers or structs, as it lies. What holds pointers is
// not to be shown to it.
func bytesOf[T any](s []T) []byte {
	var one T
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(s))), len(s)*int(unsafe.Sizeof(one)))
}

// viewOf is bytes as n numbers or structs. The bytes must be aligned to them and
// suffice.
func viewOf[T any](b []byte, n int) []T {
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(b))), n)
}
