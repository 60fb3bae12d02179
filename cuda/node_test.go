//go:build !cuda

// With the tag this would make the test program six times as large, which travels to
// machines with GPUs; it needs none.

package cuda

import (
	"errors"
	"io"
	"path/filepath"
	"testing"
	"time"

	"github.com/zetagrid/zetagrid/cuda/device"
	"github.com/zetagrid/zetagrid/node"
	"github.com/zetagrid/zetagrid/node/session"
	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/modelfile"
)

// reply is a node's whole answer to a prompt.
func reply(t *testing.T, n *node.Node) (string, error) {
	t.Helper()
	g, err := n.Generate(t.Context(), session.Request{Prompt: []byte("What fails "), MaxBytes: 60, LogProbs: -1,
		Sampling: tcn.Sampling{Temperature: 0.8, Seed: 3}})
	if err != nil {
		return "", err
	}
	defer g.Close() //nolint:errcheck // always nil
	var text []byte
	for {
		piece, err := g.Next()
		if errors.Is(err, io.EOF) {
			return string(text), nil
		}
		if err != nil {
			return string(text), err
		}
		text = append(text, piece.Byte)
	}
}

// TestNode: a node on a device answers as one on the processor does. Its device
// fails in the middle of an answer; the node opens another, which gives the same
// bytes, and nothing is left on either.
func TestNode(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "model")
	config := tcn.Config{
		Cell: tcn.CellRelease, VocabSize: tcn.VocabSize, DModel: 32, DFF: 48, Layers: 8, LayersPerBlock: 3,
		KernelSize: 3, Dilations: []int{1, 2, 4}, RMSEps: 1e-6, Weights: tcn.WeightsQ2,
	}.WithDefaults()
	if _, err := modelfile.Init(t.Context(), dir, config, 7, nil); err != nil {
		t.Fatal(err)
	}
	type opened struct {
		*fake
		b *Backend
	}
	fakes := make(chan opened, 8)
	start := func(open node.OpenDevice) *node.Node {
		n, err := node.Start(t.Context(), node.Options{Model: dir, Offline: true, Open: open})
		if err != nil {
			t.Fatal(err)
		}
		<-n.Ready()
		return n
	}
	plain := start(nil)
	want, err := reply(t, plain)
	if err := errors.Join(err, plain.Close()); err != nil {
		t.Fatal(err)
	}

	n := start(func() (tcn.Backend, error) {
		f := newFake(1 << 30)
		b, err := New(f, Options{StateBytes: 1 << 20})
		fakes <- opened{f, b}
		return b, err
	})
	first := <-fakes
	if got, err := reply(t, n); err != nil || got != want {
		t.Errorf("on the device %q, on the processor %q (%v)", got, want, err)
	}
	// Some calls on, so in the middle: whoever waits for bytes to arrive may find that
	// all of them have been computed.
	first.b.mu.Lock() // which holds the device
	first.failAt, first.failKind, first.late = first.count+100, device.ErrHung, true
	first.b.mu.Unlock()
	if got, err := reply(t, n); !errors.Is(err, session.ErrRefused) || len(got) < 5 || len(got) == len(want) || got != want[:len(got)] {
		t.Fatalf("of the device that fails: %q, %v", got, err)
	}
	second := <-fakes // which is not opened before the first is closed
	if left := first.left(); left != nothingLeft {
		t.Errorf("on the device that failed: %s", left)
	}
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for got, err := reply(t, n); err != nil || got != want; got, err = reply(t, n) {
		if !errors.Is(err, session.ErrUncovered) { // it says so while it is opening the device
			t.Fatalf("once another is there: %q (%v)", got, err)
		}
		<-ticker.C
	}
	if err := n.Close(); err != nil {
		t.Error(err)
	}
	if left := second.left(); left != nothingLeft {
		t.Errorf("on the device after it: %s", left)
	}
}
