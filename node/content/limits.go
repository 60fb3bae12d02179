package content

import "time"

const (
	// leavesInFlight bounds the leaves of one file asked for at once, and so the
	// memory a fetch holds: 16 MiB.
	leavesInFlight = 16

	// treeDepth bounds the inner levels of a file: 174 links a node make three
	// levels 5 TiB.
	treeDepth = 4

	// indexBytes bounds an index file on disk: 64 bytes a leaf of a 256 GiB file.
	indexBytes = 16 << 20

	// filesFetched bounds the files fetched at once; others wait.
	filesFetched = 4

	// rebroadcast is how often unanswered wants are asked again of peers that did
	// not have them: a peer that is still loading has them soon.
	rebroadcast = 2 * time.Second

	// providerSearch is how long peers at hand are asked before the DHT is.
	providerSearch = 500 * time.Millisecond
)
