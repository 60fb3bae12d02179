package emulator

import (
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/zetagrid/zetagrid/cuda/device"
)

// Addresses say where they lie: allocation n begins in [n<<36, (n+1)<<36), so an
// address that runs out of one runs into none. It begins shortly before a
// multiple of 1<<32: arithmetic that loses the carry ends up elsewhere.
const (
	slotBits     = 36
	slotOffset   = 3<<32 - 512
	firstSlot    = 1 << 40 >> slotBits
	sharedWindow = 1 << slotBits // generic addresses of shared memory begin here
	localWindow  = 2 << slotBits
	paramWindow  = 3 << slotBits

	undefined = 0xcb // what memory holds that nobody wrote
	maxAlloc  = 32 << 30
)

// allocation is memory that a device gave out.
type allocation struct {
	base  uint64
	data  []byte
	freed atomic.Bool

	// Of a strict device only:
	written bitmap
	pages   []*[pagePieces]piece
}

// memory is a device's. Allocating may happen beside running.
type memory struct {
	mu     sync.Mutex
	slots  atomic.Pointer[[]*allocation]
	taken  int64 // bytes
	total  int64
	live   int
	strict bool
}

// allocate takes bytes of memory.
func (m *memory) allocate(bytes int64) (*allocation, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	doing := fmt.Sprintf("allocation of %d bytes", bytes)
	if bytes < 1 {
		return nil, &device.Error{Kind: device.ErrUnsupported, Doing: doing}
	}
	if bytes > m.total-m.taken || bytes > maxAlloc {
		return nil, &device.Error{Kind: device.ErrOutOfMemory, Code: 2, Name: "OutOfMemory", Doing: doing}
	}
	var slots []*allocation
	if old := m.slots.Load(); old != nil {
		slots = *old
	}
	a := &allocation{base: (firstSlot+uint64(len(slots)))<<slotBits + slotOffset, data: make([]byte, bytes)}
	fill(a.data, undefined)
	if m.strict {
		a.written = newBitmap(len(a.data))
		a.pages = make([]*[pagePieces]piece, len(a.data)/pagePieces+1)
	}
	slots = append(slots, a)
	m.slots.Store(&slots)
	m.taken += bytes
	m.live++
	return a, nil
}

// free gives an allocation back. Its address is never given out again.
func (m *memory) free(at uint64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	a := m.find(at)
	if a == nil || a.base != at || a.freed.Load() {
		return &device.Error{Kind: device.ErrUnsupported, Name: "InvalidValue", Code: 1, Doing: fmt.Sprintf("freeing %#x, which is not allocated", at)}
	}
	m.taken -= int64(len(a.data))
	m.live--
	a.freed.Store(true)
	a.data, a.written, a.pages = nil, nil, nil
	return nil
}

// clear forgets everything.
func (m *memory) clear() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.slots.Store(nil)
	m.taken, m.live = 0, 0
}

// find is the allocation that an address would be of; nil if there never was one.
func (m *memory) find(at uint64) *allocation {
	slots := m.slots.Load()
	n := at>>slotBits - firstSlot
	if slots == nil || n >= uint64(len(*slots)) {
		return nil
	}
	return (*slots)[n]
}

// reach is n bytes at an address, or why they cannot be reached.
func (m *memory) reach(at, n uint64) ([]byte, string) {
	a := m.find(at)
	switch {
	case a == nil:
		return nil, fmt.Sprintf("address %#x is no allocation's", at)
	case a.freed.Load():
		return nil, fmt.Sprintf("address %#x was freed", at)
	case at < a.base || at-a.base > uint64(len(a.data)) || n > uint64(len(a.data))-(at-a.base):
		return nil, fmt.Sprintf("%d bytes at %#x, %d bytes into an allocation of %d", n, at, int64(at-a.base), len(a.data))
	}
	return a.data[at-a.base:][:n], ""
}

// load is the number of size bytes at the beginning of p.
func load(p []byte, size uint8) uint64 {
	switch size {
	case 1:
		return uint64(p[0])
	case 2:
		return uint64(binary.LittleEndian.Uint16(p))
	case 4:
		return uint64(binary.LittleEndian.Uint32(p))
	}
	return binary.LittleEndian.Uint64(p)
}

// store puts a number of size bytes at the beginning of p.
func store(p []byte, size uint8, v uint64) {
	switch size {
	case 1:
		p[0] = byte(v)
	case 2:
		binary.LittleEndian.PutUint16(p, uint16(v))
	case 4:
		binary.LittleEndian.PutUint32(p, uint32(v))
	default:
		binary.LittleEndian.PutUint64(p, v)
	}
}

// fill makes every byte of p v.
func fill(p []byte, v byte) {
	if len(p) == 0 {
		return
	}
	p[0] = v
	for n := 1; n < len(p); n *= 2 {
		copy(p[n:], p[:n])
	}
}
