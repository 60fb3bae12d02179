package node

import (
	"log/slog"

	"github.com/zetagrid/zetagrid/tcn"
)

// OpenDevice opens what computes the blocks. The node calls it when it starts, and
// again some time after the device failed (see [tcn.ErrDevice]), never while a
// Backend it returned is open. A Backend that is an io.Closer is closed when the
// node no longer uses it; one that is a [tcn.Memory] says how much it can hold.
type OpenDevice func() (tcn.Backend, error)

// Options says how a node runs. The zero value of a field means what its
// comment says.
type Options struct {
	Data      string       // folder for the key, tiles and known peers; "" is a fresh temporary folder, removed on Close
	Model     string       // model folder or Model CID; required
	Blocks    []tcn.Range  // ranges to own; nil lets the node choose what the map lacks
	Memory    int64        // bytes that weights may take when the node chooses; 0 owns no block, -1 what the device says it has for weights, or half of the machine's memory
	Offline   bool         // no host at all: a grid of one in this process
	Listen    []string     // QUIC multiaddrs; nil is every interface, a free port
	Announce  []string     // QUIC multiaddrs that lead here from outside, besides those it listens on
	Bootstrap []string     // multiaddrs with /p2p/ of peers to dial at the start
	MDNS      bool         // look for peers on the local network
	DHT       bool         // look for peers in the DHT and serve it
	API       string       // host:port of the HTTP API; "" serves none; port 0 picks a free one
	Token     string       // bearer token of the API; required unless API is on loopback
	Compute   *tcn.Compute // kernels and workers of the CPU, which the head uses too; nil is the best kernels and a pool of its own
	Open      OpenDevice   // opens what computes the blocks; nil is the CPU with Compute
	Chunk     int          // rows of a prompt per frame at most; 0 is 64
	Logger    *slog.Logger // nil discards

	// Progress hears how many bytes of a range's tiles are here, of how many, while
	// they are fetched. It is called from other goroutines and must not block.
	Progress func(have, size int64)
}
