package content

import (
	"time"

	"github.com/zetagrid/zetagrid/tcn/modelfile"
)

// What a stranger can make grow, with the reason for each bound. A manifest is
// bounded by modelfile.ManifestBytes, a file by what the caller of File allows.
const (
	// manifestsHeld bounds the manifests that are kept, 64 MiB: thousands of Souls.
	// Past it a fetched manifest is used but not kept.
	manifestsHeld = 64 << 20

	// innerBytes bounds an inner node of a file: linksPerNode links take 9 KiB.
	innerBytes = 16 << 10

	// indexBytes bounds the index of one file, 71 bytes a leaf: 256 GiB. A
	// larger file is hashed at every start.
	indexBytes = 20 << 20

	// filesAtOnce bounds the files written or hashed at once; others wait.
	filesAtOnce = 4

	// idleTime is how long a file whose leaves do not come keeps others waiting:
	// as long as a QUIC connection takes to notice that its peer is gone.
	idleTime = 30 * time.Second

	// leavesAtOnce bounds the leaves of one file that are under way, and so the
	// memory that fetches hold: 4 files of 16 MiB keep a 10 Gbit/s line busy.
	leavesAtOnce = 16

	// outstandingBytes is what bitswap has under way to one peer: the leaves of
	// one file. Its default is a single leaf.
	outstandingBytes = leavesAtOnce * modelfile.LeafBytes

	// wantsPerPeer bounds the wants of one peer that bitswap remembers: a peer
	// like this one has filesAtOnce·leavesAtOnce, and a few nodes.
	wantsPerPeer = 1024

	// readsAtOnce bounds the leaves read from disk for peers at once: 8 MiB.
	readsAtOnce = 8

	// rebroadcast is how often unanswered wants are asked again of peers that did
	// not have them: a peer that is still loading has them soon.
	rebroadcast = 2 * time.Second

	// providerSearch is how long peers at hand are asked before the DHT is.
	providerSearch = 500 * time.Millisecond
)
