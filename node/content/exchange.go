package content

import (
	"context"
	"errors"

	"github.com/ipfs/boxo/bitswap"
	"github.com/ipfs/boxo/bitswap/network/bsnet"
	"github.com/ipfs/boxo/blockstore"
	"github.com/ipfs/boxo/exchange"
	blocks "github.com/ipfs/go-block-format"
	"github.com/ipfs/go-cid"
	ipld "github.com/ipfs/go-ipld-format"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/routing"
)

// Start fetches from and serves peers of h, until Close. It is called once at
// most. A nil discovery asks only peers that are connected.
func (s *Store) Start(h host.Host, discovery routing.ContentDiscovery) {
	if discovery == nil {
		discovery = nobody{}
	}
	exchange := bitswap.New(s.ctx, bsnet.NewFromIpfsHost(h), discovery, view{s},
		bitswap.RebroadcastDelay(rebroadcast),
		bitswap.ProviderSearchDelay(providerSearch),
		bitswap.MaxOutstandingBytesPerPeer(outstandingBytes),
		bitswap.MaxQueuedWantlistEntriesPerPeer(wantsPerPeer),
		bitswap.EngineBlockstoreWorkerCount(readsAtOnce),
		bitswap.WithoutDuplicatedBlockStats(),
	)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.exchange = exchange
}

// peers asks others for blocks, which they send with the hash that their name
// says or not at all, until ctx ends. Errors: ErrAbsent before Start, ErrClosed.
func (s *Store) peers(ctx context.Context) (exchange.Fetcher, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.ctx.Err() != nil:
		return nil, ErrClosed
	case s.exchange == nil:
		return nil, ErrAbsent
	}
	return s.exchange.NewSession(ctx), nil
}

// location is where a block of a file is.
type location struct {
	file  *file
	leaf  int
	inner []byte // the block itself, if it is an inner node
}

// view is the Store as bitswap sees it. It is read only: what arrives is put in
// its place by the fetch that wanted it.
type view struct{ *Store }

var _ blockstore.Blockstore = view{}

var errReadOnly = errors.New("content: the block store is read only")

// find returns the bytes of a manifest or inner node, or where a leaf is.
func (v view) find(c cid.Cid) ([]byte, location, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if data, ok := v.manifests[c]; ok {
		return data, location{}, nil
	}
	at, ok := v.blocks[c]
	if !ok {
		return nil, location{}, ipld.ErrNotFound{Cid: c}
	}
	return at.inner, at, nil
}

// Has reports whether a block is known.
func (v view) Has(_ context.Context, c cid.Cid) (bool, error) {
	_, _, err := v.find(c)
	return err == nil, nil
}

// Get reads a block. One whose bytes on disk are no longer those of its name is
// not found, now and later.
func (v view) Get(_ context.Context, c cid.Cid) (blocks.Block, error) {
	data, at, err := v.find(c)
	if err != nil {
		return nil, err
	}
	if at.file != nil {
		if data, err = at.file.readLeaf(at.leaf); err != nil {
			v.log.Error("block not served", "cid", c, "error", err)
			v.mu.Lock()
			defer v.mu.Unlock()
			if v.blocks[c].file == at.file {
				delete(v.blocks, c)
			}
			return nil, ipld.ErrNotFound{Cid: c}
		}
	}
	return blocks.NewBlockWithCid(data, c)
}

// GetSize is the number of bytes in a block.
func (v view) GetSize(_ context.Context, c cid.Cid) (int, error) {
	data, at, err := v.find(c)
	if err != nil {
		return -1, err
	}
	if at.file != nil {
		return int(at.file.leafSize(at.leaf)), nil
	}
	return len(data), nil
}

// Put is refused, as all changes are.
func (view) Put(context.Context, blocks.Block) error { return errReadOnly }

// PutMany is refused.
func (view) PutMany(context.Context, []blocks.Block) error { return errReadOnly }

// DeleteBlock is refused.
func (view) DeleteBlock(context.Context, cid.Cid) error { return errReadOnly }

// AllKeysChan is refused: nobody needs a list of blocks.
func (view) AllKeysChan(context.Context) (<-chan cid.Cid, error) { return nil, errReadOnly }

// nobody is the discovery of a node without a DHT.
type nobody struct{}

// FindProvidersAsync finds none.
func (nobody) FindProvidersAsync(context.Context, cid.Cid, int) <-chan peer.AddrInfo {
	none := make(chan peer.AddrInfo)
	close(none)
	return none
}
