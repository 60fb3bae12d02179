package cuda

import (
	"fmt"
	"testing"

	"github.com/zetagrid/zetagrid/cuda/device"
	"github.com/zetagrid/zetagrid/cuda/emulator"
	"github.com/zetagrid/zetagrid/cuda/kernels"
	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/backendtest"
)

// loss is a chain of two hops of which one is lost in the middle of a text, and what
// replaces it. True: on a device; false: on the processor.
type loss struct {
	hops [2]bool
	lost int
	by   bool
}

func (l loss) String() string {
	on := map[bool]string{false: "CPU", true: "device"}
	return fmt.Sprintf("%s, %s; %d by %s", on[l.hops[0]], on[l.hops[1]], l.lost, on[l.by])
}

// TestLossOnEmulator is some losses on the device that runs the committed PTX.
func TestLossOnEmulator(t *testing.T) {
	list := []loss{{[2]bool{true, false}, 0, false}, {[2]bool{false, true}, 0, true}, {[2]bool{true, true}, 1, true}}
	if testing.Short() {
		list = list[:1]
	}
	losses(t, list, 8, func() (device.Device, error) { return emulator.New(emulator.Options{}), nil })
}

// losses: whatever is lost after half of so many bytes, and whatever replaces it, the
// bytes are those that the processor alone generates.
func losses(t *testing.T, list []loss, bytes int, open func() (device.Device, error)) {
	c := backendtest.Cases()[13] // the release cell in 2-bit weights, two 8-bit Souls, blocks of every routing
	m := c.Model()
	alone := &chain{c: c, m: m, bytes: bytes}
	want := generate(t, alone, []tcn.Backend{cpu}, []tcn.Range{c.Config.All()}, nil, nil)
	for _, l := range list {
		t.Run(l.String(), func(t *testing.T) {
			h := &chain{c: c, m: m, bytes: bytes}
			if got := l.text(t, h, open); got != want {
				t.Errorf("generated %q, want %q", got, want)
			}
		})
	}
}

// text is what a chain generates that suffers l.
func (l loss) text(t *testing.T, h *chain, open func() (device.Device, error)) string {
	t.Helper()
	all := h.c.Config.All()
	ranges := []tcn.Range{{Lo: 0, Hi: all.Hi / 2}, {Lo: all.Hi / 2, Hi: all.Hi}}
	begin := func(on bool) tcn.Backend {
		if on {
			return mortal(t, open)
		}
		return cpu
	}
	backends := []tcn.Backend{begin(l.hops[0]), begin(l.hops[1])}
	replaced := 0
	replace := func(lost *link) error {
		replaced++
		if b, ok := backends[l.lost].(*Backend); ok { // as a node does: first what is left is given back
			if err := b.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
		}
		return h.replace(lost, begin(l.by), ranges[l.lost])
	}
	lose := func(n int) {
		if n != h.bytes/2 {
			return
		}
		err := error(nil)
		if b, ok := backends[l.lost].(*Backend); ok {
			err = kill(b) // the next Step will find out
		} else {
			err = replace(h.links[l.lost])
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	text := generate(t, h, backends, ranges, lose, replace)
	if replaced != 1 {
		t.Errorf("%d stages were replaced, want 1", replaced)
	}
	return text
}

// mortal is a Backend that may be killed.
func mortal(t *testing.T, open func() (device.Device, error)) *Backend {
	t.Helper()
	d, err := open()
	if err != nil {
		t.Fatal(err)
	}
	b, err := New(d, Options{StateBytes: 16 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return b
}

// kill ends a device by a kernel that reads where nothing is.
func kill(b *Backend) error {
	return b.kernels.Launch(b.stream, kernels.ReadBytes(kernels.ReadBytesArgs{Bytes: 16, Out: 16, Count: 1}, 1))
}
