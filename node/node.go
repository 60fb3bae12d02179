package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/routing"

	"github.com/zetagrid/zetagrid/node/api"
	"github.com/zetagrid/zetagrid/node/content"
	"github.com/zetagrid/zetagrid/node/p2p"
	"github.com/zetagrid/zetagrid/node/session"
	"github.com/zetagrid/zetagrid/node/wire"
	"github.com/zetagrid/zetagrid/shardmap"
	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/kernel"
	"github.com/zetagrid/zetagrid/tcn/modelfile"
)

// Errors of starting; each comes wrapped with what to do.
var (
	// ErrOptions: the options contradict each other or the model.
	ErrOptions = errors.New("node: bad options")
)

// Node is one running peer. Its methods may be called from any goroutine.
type Node struct {
	options Options
	log     *slog.Logger
	data    string
	began   time.Time

	pool     *kernel.Pool // its own; nil when the caller brought one
	compute  *tcn.Compute // the processor
	device   *deviceHealth
	host     *p2p.Host // nil: offline
	store    *content.Store
	library  *library
	resident *resident
	variants *variants
	executor *executor
	links    *links
	hops     *hops
	gateways *gateways
	member   *p2p.Membership // nil: offline
	server   *api.Server     // nil: no API
	watchers watchers

	ready    chan struct{}
	ctx      context.Context // ends at Close
	cancel   context.CancelFunc
	running  sync.WaitGroup
	failed   error // why the node ended by itself; set once, before ctx ends
	failOnce sync.Once
	close    func() error // runs once
}

// Start starts a node and returns when its Model's manifests and ends are here,
// which for a Model known by CID only means that a peer was found, or ctx ended.
// It loads its blocks in the background: see Ready. Errors: ErrOptions, and what
// the parts report.
func Start(ctx context.Context, o Options) (*Node, error) {
	n := &Node{options: o, log: o.Logger, began: time.Now(), ready: make(chan struct{})}
	if n.log == nil {
		n.log = slog.New(slog.DiscardHandler)
	}
	n.ctx, n.cancel = context.WithCancel(context.Background())
	n.close = sync.OnceValue(n.shutDown)
	if err := n.start(ctx); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	return n, nil
}

func (n *Node) start(ctx context.Context) error {
	if n.options.Model == "" {
		return fmt.Errorf("%w: no model named", ErrOptions)
	}
	if err := n.openData(); err != nil {
		return err
	}
	if err := n.openHost(ctx); err != nil {
		return err
	}
	var err error
	if n.store, err = content.Open(filepath.Join(n.data, "content"), n.log); err != nil {
		return err
	}
	if n.host != nil {
		n.store.Start(n.host.Host(), discovery(n.host))
	}
	if err := n.openLibrary(ctx); err != nil {
		return err
	}
	if err := n.checkBlocks(); err != nil {
		return err
	}
	ends, err := n.ends(ctx)
	if err != nil {
		return err
	}
	if err := n.openStage(ends); err != nil {
		return err
	}
	if err := n.join(ctx); err != nil {
		return err
	}
	return n.serveAPI()
}

// openLibrary waits until the Model's manifests are here.
func (n *Node) openLibrary(ctx context.Context) (err error) {
	defer n.remind(nil, "no peer has brought the model yet", "model", n.options.Model)()
	n.library, err = openLibrary(ctx, n.store, n.options.Model)
	return err
}

// ends waits until the Model's ends are here.
func (n *Node) ends(ctx context.Context) (*tcn.Ends, error) {
	defer n.remind(nil, "no peer has brought the model's ends yet", "file", n.library.model.Ends)()
	return n.library.ends(ctx)
}

// openData makes the data folder, a temporary one if none is named.
func (n *Node) openData() (err error) {
	if n.data = n.options.Data; n.data == "" {
		if n.data, err = os.MkdirTemp("", "zetagrid-"); err != nil {
			return fmt.Errorf("data folder: %w", err)
		}
		return nil
	}
	if err := os.MkdirAll(n.data, 0o700); err != nil {
		return fmt.Errorf("data folder: %w", err)
	}
	return nil
}

func (n *Node) openHost(ctx context.Context) error {
	if n.options.Offline {
		n.links = newLinks("self", nil)
		return nil
	}
	key, err := p2p.LoadKey(n.data)
	if err != nil {
		return err
	}
	n.host, err = p2p.New(ctx, p2p.Options{
		Key: key, Listen: n.options.Listen, Announce: n.options.Announce, Bootstrap: n.options.Bootstrap,
		MDNS: n.options.MDNS, DHT: n.options.DHT, DataDir: n.data, Logger: n.log,
	})
	if err != nil {
		return err
	}
	n.links = newLinks(string(n.host.ID()), n.host)
	return nil
}

// discovery is how bitswap finds who has content; nil asks connected peers only.
func discovery(h *p2p.Host) routing.ContentDiscovery {
	if r := h.Routing(); r != nil {
		return r
	}
	return nil
}

// checkBlocks refuses pinned ranges that the Model does not have.
func (n *Node) checkBlocks() error {
	all := n.library.config.All()
	for _, r := range n.options.Blocks {
		if r.Lo >= r.Hi || !all.Contains(r) {
			return fmt.Errorf("%w: blocks %d-%d; the model has blocks 0-%d", ErrOptions, r.Lo, r.Hi, all.Hi)
		}
	}
	return nil
}

// openStage readies the device, the hop side and the gateway side, and begins to
// take streams.
func (n *Node) openStage(ends *tcn.Ends) error {
	if n.compute = n.options.Compute; n.compute == nil {
		n.pool = kernel.NewPool(0)
		n.compute = &tcn.Compute{Kernels: kernel.Best(), Pool: n.pool}
	}
	// The ends stay on the processor, whatever computes the blocks.
	if err := tcn.SelfCheckCompute(n.compute); err != nil {
		return fmt.Errorf("this processor computes other numbers than it should, so it may not serve: %w", err)
	}
	backend, err := n.openDevice()
	if err != nil {
		return err
	}
	n.device = newDeviceHealth(backend.Name())
	n.resident = &resident{config: n.library.config}
	n.resident.use(backend)
	n.variants = newVariants(n.library)
	n.executor = newExecutor()
	n.hops = newHops(n.links, n.executor, n.resident, n.variants, n.deviceLost, stateBudget(backend))
	n.gateways = &gateways{
		links: n.links, library: n.library, ends: ends.WithCompute(n.compute),
		route: n.route, chunk: n.options.Chunk, open: map[wire.SessionID]*Generation{},
	}
	n.running.Go(func() {
		n.links.accept(func(in incoming) { n.running.Go(func() { n.serve(in) }) })
	})
	return nil
}

// serve tells from a stream's first frame what it is for.
func (n *Node) serve(in incoming) {
	if err := in.stream.SetReadDeadline(time.Now().Add(firstFrameTimeout)); err != nil {
		hangUp(in.stream)
		return
	}
	var f wire.Frame
	if err := f.Read(in.stream); err != nil {
		n.log.Debug("stream dropped", "peer", peerName(in.peer), "error", err)
		hangUp(in.stream)
		return
	}
	if err := in.stream.SetReadDeadline(time.Time{}); err != nil {
		hangUp(in.stream)
		return
	}
	switch {
	case f.Kind == wire.KindOpen:
		n.hops.control(n.ctx, in, &f)
	case f.Kind == wire.KindAttach && n.gateways.owns(f.Session, f.Hop):
		n.gateways.rows(in, &f)
	case f.Kind == wire.KindAttach:
		n.hops.rows(in, &f)
	default:
		hangUp(in.stream)
	}
}

// Generate starts to answer a request. Errors, at once or from Next, wrap the
// sentinels of package session. When ctx ends, so does the generation.
func (n *Node) Generate(ctx context.Context, r session.Request) (*Generation, error) {
	return n.gateways.generate(ctx, r)
}

// Logits runs a prompt and returns the logits at its last position.
func (n *Node) Logits(ctx context.Context, r session.Request) ([256]float32, error) {
	r.MaxBytes = 0
	g, err := n.Generate(ctx, r)
	if err != nil {
		return [256]float32{}, err
	}
	defer g.Close() //nolint:errcheck // always nil
	for {
		if _, err := g.Next(); err != nil {
			if g.Finish() == session.FinishLength {
				return g.Logits(), nil
			}
			return [256]float32{}, err
		}
	}
}

// Ready is closed when the node serves what it owns.
func (n *Node) Ready() <-chan struct{} { return n.ready }

// Done is closed when the node begins to close. It does so by itself when an
// offline node lacks blocks of its Model, or when blocks it was told to own do not
// fit its device: Close then says which.
func (n *Node) Done() <-chan struct{} { return n.ctx.Done() }

// Peer is this node's peer ID; "" offline.
func (n *Node) Peer() string {
	if n.host == nil {
		return ""
	}
	return n.host.ID().String()
}

// Addrs are the full addresses other nodes can dial.
func (n *Node) Addrs() []string {
	if n.host == nil {
		return nil
	}
	return n.host.Addrs()
}

// APIAddr is the base URL of the HTTP API; "" without one.
func (n *Node) APIAddr() string {
	if n.server == nil {
		return ""
	}
	return n.server.URL()
}

// ModelCID is the CID of the Model the node serves.
func (n *Node) ModelCID() string { return n.library.modelCID.String() }

// Config is the Model's blueprint.
func (n *Node) Config() tcn.Config { return n.library.config }

// Template is how the Model wants a chat to be written as a prompt.
func (n *Node) Template() modelfile.Template { return n.library.model.Template }

// Blocks lists the ranges that are loaded.
func (n *Node) Blocks() []tcn.Range { return n.resident.ranges() }

// Close stops the node: prompts are canceled, sessions ended and their gateways
// told. It waits until nothing is left running.
func (n *Node) Close() error { return n.close() }

func (n *Node) shutDown() error {
	var errs []error
	if n.member != nil {
		n.member.Do(shardmap.Drain{}) // so that nobody routes here any more
		ctx, cancel := context.WithTimeout(context.Background(), farewellTime)
		n.member.Tell(ctx)
		cancel()
	}
	if n.server != nil {
		ctx, cancel := context.WithTimeout(context.Background(), shutdownGrace)
		if err := n.server.Shutdown(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			errs = append(errs, err)
		}
		cancel()
	}
	if n.gateways != nil {
		n.gateways.close()
	}
	if n.hops != nil {
		n.hops.close()
	}
	n.cancel()
	if n.executor != nil {
		n.executor.close()
	}
	if n.links != nil {
		n.links.close()
	}
	if n.member != nil {
		errs = append(errs, n.member.Close())
	}
	if n.store != nil {
		errs = append(errs, n.store.Close())
	}
	if n.host != nil {
		errs = append(errs, n.host.Close())
	}
	n.running.Wait()
	errs = append(errs, n.failed)
	if n.variants != nil {
		n.variants.close()
		errs = append(errs, n.resident.close())
	}
	n.pool.Close()
	if n.options.Data == "" && n.data != "" {
		errs = append(errs, os.RemoveAll(n.data))
	}
	return errors.Join(errs...)
}
