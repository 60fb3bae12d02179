package node

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/zetagrid/zetagrid/node/api"
	"github.com/zetagrid/zetagrid/node/session"
	"github.com/zetagrid/zetagrid/node/wire"
	"github.com/zetagrid/zetagrid/shardmap"
	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/kernel"
	"github.com/zetagrid/zetagrid/tcn/modelfile"
	"github.com/zetagrid/zetagrid/tcn/rack"
)

// impatient makes a node try its device again without delay.
func impatient(n *Node) {
	n.device.mu.Lock()
	defer n.device.mu.Unlock()
	n.device.pauses.InitialInterval = 5 * time.Millisecond
	n.device.pauses.MaxInterval = 20 * time.Millisecond
	n.device.pauses.Reset()
}

// stateOf is what a node's map says of another, or of itself.
func stateOf(n, other *Node) string {
	for _, seen := range n.Status().Nodes {
		if seen.Peer == other.Peer() {
			return seen.State
		}
	}
	return "unknown"
}

// TestDeviceLostInMidAnswer: every session on the device ends with its reason, new
// prompts go elsewhere, the node lives on, and serves again once the device is back.
func TestDeviceLostInMidAnswer(t *testing.T) {
	dir := seededFolder(t, sixBlocks)
	device := &fragile{t: t}
	front, rear := tcn.Range{Lo: 0, Hi: 3}, tcn.Range{Lo: 3, Hi: 6}
	first := startNode(t, Options{Model: dir, Blocks: []tcn.Range{front}})
	bad := startNode(t, Options{Model: dir, Blocks: []tcn.Range{rear}, Bootstrap: first.Addrs(), Open: device.open})
	spare := startNode(t, Options{Model: dir, Blocks: []tcn.Range{rear}, Bootstrap: append(first.Addrs(), bad.Addrs()...)})
	for _, n := range []*Node{first, bad, spare} {
		waitReady(t, n)
		waitCovered(t, n)
	}
	impatient(bad)
	byMap := first.gateways.route
	throughBad := func([]string) ([]session.Hop, error) {
		return []session.Hop{{Peer: first.links.self, Blocks: front}, {Peer: bad.links.self, Blocks: rear}}, nil
	}
	first.gateways.route = throughBad
	r := prompts(1, 4000, 0.8)[0]
	g, err := first.Generate(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	var got []byte
	next := func() (err error) {
		piece, err := g.Next()
		if err == nil {
			got = append(got, piece.Byte)
		}
		return err
	}
	for range 3 {
		if err := next(); err != nil {
			t.Fatal(err)
		}
	}
	// A session that computes nothing now must hear of it too.
	idle, err := openIdle(first, bad, rear)
	if err != nil {
		t.Fatal(err)
	}

	device.pull()
	for err = next(); err == nil; err = next() {
	}
	if !errors.Is(err, session.ErrRefused) || !strings.Contains(err.Error(), "pulled out") {
		t.Errorf("the answer ends with %v", err)
	}
	var refused wire.Frame
	if err := refused.Read(idle); err != nil || refused.Kind != wire.KindRefused || refused.Code != wire.CodeStage {
		t.Errorf("the idle session hears kind %d %v, %v", refused.Kind, refused.Code, err)
	}
	hangUp(idle)
	if want := reference(t, dir, session.Request{Prompt: r.Prompt, MaxBytes: len(got), Sampling: r.Sampling}); string(got) != want {
		t.Errorf("%d bytes are no prefix of the answer", len(got))
	}
	if status := bad.Status(); status.Device.State != api.DeviceLost || status.Device.Failures != 1 || status.Device.Error == "" {
		t.Errorf("device %+v", status.Device)
	}

	first.gateways.route = byMap
	eventually(t, "seen as failed", func() bool { return stateOf(first, bad) == shardmap.Failed.String() })
	eventually(t, "free", func() bool {
		return bad.hops.openSessions() == 0 && bad.hops.reserved() == 0 && first.gateways.active() == 0 &&
			stageGoroutines() == 3 // one accept loop each
	})
	short := prompts(1, 16, 0.8)[0]
	want := reference(t, dir, short)
	for name, n := range map[string]*Node{"another node": first, "the node itself": bad} {
		if got, err := answer(t.Context(), n, short); err != nil || got != want {
			t.Errorf("asked of %s: %q, want %q (%v)", name, got, want, err)
		}
	}

	device.putBack()
	eventually(t, "serving again", func() bool {
		return stateOf(first, bad) == shardmap.Serving.String() && len(bad.Blocks()) == 1
	})
	first.gateways.route = throughBad
	if got, err := answer(t.Context(), first, short); err != nil || got != want {
		t.Errorf("of the device that is back: %q, want %q (%v)", got, want, err)
	}
	if status := bad.Status(); status.Device.State != api.DeviceWorking || status.Device.Failures != 1 || status.Device.Error != "" {
		t.Errorf("device %+v", status.Device)
	}
	device.mu.Lock()
	defer device.mu.Unlock()
	if device.opened != 2 || device.closed != 1 {
		t.Errorf("opened %d times, closed %d", device.opened, device.closed)
	}
}

// openIdle opens a session at a node as the second hop of a gateway and sends it
// nothing.
func openIdle(gateway, at *Node, r tcn.Range) (stream, error) {
	control, err := gateway.links.dial(gateway.ctx, at.links.self)
	if err != nil {
		return nil, err
	}
	open := wire.Open{
		Model: at.library.modelCID.Bytes(), Lo: uint32(r.Lo), Hi: uint32(r.Hi), NextHi: uint32(r.Hi), Hops: 2,
		Window: wire.RowsInFlight, Previous: []byte(gateway.links.self), Next: []byte(gateway.links.self),
	}
	frame := wire.Frame{Header: wire.Header{Kind: wire.KindOpen, Session: wire.SessionID{7, 15: 7}, Epoch: 1, Hop: 1}, Body: open.Append(nil)}
	if err := writeFrame(control, &frame); err != nil {
		return nil, err
	}
	var answer wire.Frame
	if err := answer.Read(control); err != nil || answer.Kind != wire.KindOpened {
		return nil, fmt.Errorf("kind %d %v: %w", answer.Kind, answer.Code, err)
	}
	return control, nil
}

// TestDeviceGivenUp: a device that stays lost leaves a gateway, which says so.
func TestDeviceGivenUp(t *testing.T) {
	dir := seededFolder(t, sixBlocks)
	device := &fragile{t: t, never: true}
	all := []tcn.Range{sixBlocks.All()}
	first := startNode(t, Options{Model: dir, Blocks: all})
	bad := startNode(t, Options{Model: dir, Blocks: all, Bootstrap: first.Addrs(), Open: device.open})
	waitReady(t, first)
	waitReady(t, bad)
	impatient(bad)
	bad.gateways.route = func([]string) ([]session.Hop, error) {
		return []session.Hop{{Peer: bad.links.self, Blocks: sixBlocks.All()}}, nil
	}
	byMap := first.route
	device.pull()
	r := prompts(1, 8, 0)[0]
	if _, err := answer(t.Context(), bad, r); !errors.Is(err, session.ErrRefused) {
		t.Errorf("error %v", err)
	}
	eventually(t, "given up", func() bool { return bad.Status().Device.State == api.DeviceGivenUp })
	eventually(t, "a gateway", func() bool {
		for _, seen := range first.Status().Nodes {
			if seen.Peer == bad.Peer() {
				return seen.State == shardmap.Serving.String() && len(seen.Ranges) == 0
			}
		}
		return false
	})
	bad.gateways.route = byMap
	if got, err := answer(t.Context(), bad, r); err != nil || got != reference(t, dir, r) {
		t.Errorf("as a gateway: %q (%v)", got, err)
	}
	for n, want := range map[*Node][2]float64{bad: {1, 0}, first: {0, 1}} {
		if got := [2]float64{metric(t, n, "zetagrid_device_failures_total"), metric(t, n, "zetagrid_device_working")}; got != want {
			t.Errorf("failures and working: %v, want %v", got, want)
		}
	}
	device.mu.Lock()
	defer device.mu.Unlock()
	if device.opened != 1 || device.closed != 1 {
		t.Errorf("opened %d times, closed %d", device.opened, device.closed)
	}
}

// metric is a figure of a node.
func metric(t testing.TB, n *Node, name string) float64 {
	t.Helper()
	registry := prometheus.NewRegistry()
	n.registerMetrics(registry)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == name {
			return family.GetMetric()[0].GetCounter().GetValue() + family.GetMetric()[0].GetGauge().GetValue()
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}

// TestDeviceLostOffline: a grid of one says why it does not answer, and answers
// again once the device is back.
func TestDeviceLostOffline(t *testing.T) {
	dir := seededFolder(t, sixBlocks)
	device := &fragile{t: t}
	n := startNode(t, Options{Model: dir, Offline: true, Open: device.open})
	waitReady(t, n)
	impatient(n)
	r := prompts(1, 8, 0.8)[0]
	device.pull()
	if _, err := answer(t.Context(), n, r); !errors.Is(err, session.ErrRefused) {
		t.Errorf("error %v", err)
	}
	if _, err := answer(t.Context(), n, r); !errors.Is(err, session.ErrUncovered) || !strings.Contains(err.Error(), "device") {
		t.Errorf("while it is lost: error %v", err)
	}
	if s := n.Status(); s.Covered || s.Nodes[0].State != shardmap.Failed.String() {
		t.Errorf("status %+v", s)
	}
	device.putBack()
	eventually(t, "loaded again", func() bool { return len(n.Blocks()) == 1 })
	if got, err := answer(t.Context(), n, r); err != nil || got != reference(t, dir, r) {
		t.Errorf("once it is back: %q (%v)", got, err)
	}
}

// TestCloseWhileTheDeviceIsLost: nothing waits for a device that does not come back.
func TestCloseWhileTheDeviceIsLost(t *testing.T) {
	dir := seededFolder(t, sixBlocks)
	device := &fragile{t: t, never: true}
	n, err := Start(t.Context(), Options{Model: dir, Offline: true, Open: device.open, Compute: testCompute()})
	if err != nil {
		t.Fatal(err)
	}
	waitReady(t, n)
	device.pull()
	if _, err := answer(t.Context(), n, prompts(1, 8, 0)[0]); err == nil {
		t.Error("answered without a device")
	}
	if err := n.Close(); err != nil {
		t.Error(err)
	}
	if device.closed != 1 {
		t.Errorf("closed %d times", device.closed)
	}
}

// TestDeviceTries: pauses grow, tries end, and only a device that worked for long
// gets new ones.
func TestDeviceTries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newDeviceHealth("fake")
		failure := errors.New("pulled out")
		total := time.Duration(0)
		for want := 1; want <= deviceTries; want++ {
			time.Sleep(time.Minute) // it was back for no long time
			h.lost(failure)
			pause, try := h.next()
			if try != want || pause <= 0 || pause > 2*devicePauseMost {
				t.Fatalf("try %d, want %d, after %v", try, want, pause)
			}
			total += pause
			h.works("fake")
		}
		if total < time.Minute || total > 20*time.Minute {
			t.Errorf("all tries take %v", total)
		}
		h.lost(failure)
		if _, try := h.next(); try != 0 {
			t.Errorf("try %d after the last", try)
		}
		h.works("fake")
		time.Sleep(deviceProven + time.Second)
		h.lost(failure)
		if pause, try := h.next(); try != 1 || pause > 2*devicePause {
			t.Errorf("after a long time of work: try %d after %v", try, pause)
		}
		if s := h.status(); s.Failures != deviceTries+2 || s.State != api.DeviceLost || s.Error != "pulled out" {
			t.Errorf("%+v", s)
		}
	})
}

// small is a device with room for few blocks, which says so in advance or not.
type small struct {
	tcn.Backend
	blocks          int
	weights, states int64
}

func (b small) WeightBytes() int64 { return b.weights }
func (b small) StateBytes() int64  { return b.states }

func (b small) Load(c tcn.Config, r tcn.Range, blocks []*tcn.Block) (tcn.Stage, error) {
	if c.DModel == sixBlocks.DModel && r.Len() > b.blocks { // else the self-check
		return nil, fmt.Errorf("%w: %d blocks", tcn.ErrNoRoom, r.Len())
	}
	return b.Backend.Load(c, r, blocks)
}

// TestNoRoom: who may choose takes fewer blocks, or none; who was told what to own
// ends and says what does not fit.
func TestNoRoom(t *testing.T) {
	dir := seededFolder(t, sixBlocks)
	block, err := modelfile.TileBytes(sixBlocks, 0)
	if err != nil {
		t.Fatal(err)
	}
	for seek, want := range map[int64]int{5: 4, 1: 0} {
		device := small{Backend: tcn.NewCPU(nil), blocks: want, weights: seek * block}
		n := startNode(t, Options{Model: dir, Memory: -1, Open: opens(device)})
		waitReady(t, n)
		owned := 0
		for _, r := range n.Blocks() {
			owned += r.Len()
		}
		if owned != want {
			t.Errorf("owns %d blocks, %d fit", owned, want)
		}
		if s := n.Status(); want == 0 && !strings.Contains(s.Device.Error, "do not fit") {
			t.Errorf("device %+v", s.Device)
		}
	}
	n, err := Start(t.Context(), Options{
		Model: dir, Blocks: []tcn.Range{{Lo: 1, Hi: 5}}, Listen: []string{"/ip4/127.0.0.1/udp/0/quic-v1"},
		Open: opens(small{Backend: tcn.NewCPU(nil), blocks: 3}), Compute: testCompute(),
	})
	if err != nil {
		t.Fatal(err)
	}
	<-n.Done()
	if err := n.Close(); !errors.Is(err, tcn.ErrNoRoom) || !errors.Is(err, ErrOptions) || !strings.Contains(err.Error(), "blocks 1-5") {
		t.Errorf("error %v", err)
	}
}

// TestMemoryOfTheDevice: what a device says it can hold counts, not the machine's
// memory.
func TestMemoryOfTheDevice(t *testing.T) {
	dir := seededFolder(t, sixBlocks)
	n := startNode(t, Options{Model: dir, Offline: true})
	block := n.library.blockBytes()
	for _, c := range []struct {
		name            string
		memory, weights int64
		want            int
	}{
		{"all it has", -1, 3 * block, 3},
		{"more than it has", 1 << 40, 3*block + block/2, 3},
		{"less than it has", 2 * block, 1 << 40, 2},
		{"room for more than there is", -1, 1 << 40, 6},
		{"less than a block", -1, block - 1, 0},
		{"none of it", 0, 1 << 40, 0},
		{"it does not say", -1, 0, 6},
	} {
		n.options.Memory = c.memory
		if got := n.capacity(small{Backend: tcn.NewCPU(nil), weights: c.weights}); got != c.want {
			t.Errorf("%s: %d blocks, want %d", c.name, got, c.want)
		}
	}
	if got := stateBudget(small{Backend: tcn.NewCPU(nil), states: 12345}); got != 12345 {
		t.Errorf("state budget %d", got)
	}
	if got := stateBudget(tcn.NewCPU(nil)); got != stateBytesDefault {
		t.Errorf("state budget %d of the processor", got)
	}
}

// closingBackend counts its Closes.
type closingBackend struct {
	tcn.Backend
	closed *int
}

func (b closingBackend) Close() error { *b.closed++; return nil }

// TestWrongDevice: neither a device nor a processor that computes other numbers may
// serve, and a device that was opened is closed.
func TestWrongDevice(t *testing.T) {
	dir := seededFolder(t, sixBlocks)
	wrong := kernel.Portable()
	wrong.AddScaled = func([]float32, []float32, float32) {}
	closed := 0
	for name, o := range map[string]Options{
		"a wrong device":    {Open: opens(closingBackend{tcn.NewCPU(&tcn.Compute{Kernels: wrong}), &closed})},
		"a wrong processor": {Open: opens(tcn.NewCPU(nil)), Compute: &tcn.Compute{Kernels: wrong}},
	} {
		o.Model, o.Offline = dir, true
		n, err := Start(t.Context(), o)
		if !errors.Is(err, tcn.ErrDigest) {
			t.Errorf("%s: error %v", name, err)
		}
		if err == nil {
			_ = n.Close()
		}
	}
	if closed != 1 {
		t.Errorf("the wrong device was closed %d times", closed)
	}
	missing := errors.New("no such device")
	if _, err := Start(t.Context(), Options{Model: dir, Offline: true, Open: func() (tcn.Backend, error) { return nil, missing }}); !errors.Is(err, missing) {
		t.Errorf("error %v", err)
	}
}

// TestLostDeviceOfARack: a rack is one device to its node, lost with any of its
// devices and back with all of them.
func TestLostDeviceOfARack(t *testing.T) {
	dir := seededFolder(t, sixBlocks)
	sound, broken := &fragile{t: t}, &fragile{t: t}
	n := startNode(t, Options{Model: dir, Offline: true, Open: func() (tcn.Backend, error) {
		first, err := sound.open()
		if err != nil {
			return nil, err
		}
		second, err := broken.open()
		if err != nil {
			return nil, errors.Join(err, rack.CloseBackend(first))
		}
		return rack.New([]rack.Device{{Backend: first}, {Backend: second}})
	}})
	waitReady(t, n)
	impatient(n)
	requests := prompts(2, 8, 0.8)
	if got, err := answer(t.Context(), n, requests[0]); err != nil || got != reference(t, dir, requests[0]) {
		t.Errorf("%q (%v)", got, err)
	}
	broken.pull()
	if _, err := answer(t.Context(), n, requests[1]); !errors.Is(err, session.ErrRefused) || !strings.Contains(err.Error(), "device 1 ") {
		t.Errorf("error %v", err)
	}
	broken.putBack()
	eventually(t, "loaded again", func() bool { return len(n.Blocks()) == 1 })
	if got, err := answer(t.Context(), n, requests[1]); err != nil || got != reference(t, dir, requests[1]) {
		t.Errorf("once it is back: %q (%v)", got, err)
	}
}
