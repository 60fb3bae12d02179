package content_test

import (
	"bytes"
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/zetagrid/zetagrid/node/content"
	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/modelfile"
)

// One store serves a model folder where it lies; another, which knows only the
// Model CID, fetches the manifests and a tile.
func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "content-example-")
	must(err)
	defer func() { must(os.RemoveAll(dir)) }()

	config := tcn.Config{
		Cell: tcn.CellRelease, VocabSize: 256, DModel: 16, DFF: 32, Layers: 4, LayersPerBlock: 2,
		KernelSize: 3, Dilations: []int{1, 2}, RMSEps: 1e-6,
	}
	modelCID, err := modelfile.Init(ctx, filepath.Join(dir, "model"), config, 1, nil)
	must(err)
	folder, err := modelfile.OpenFolder(filepath.Join(dir, "model"))
	must(err)

	giver, giverHost := start(filepath.Join(dir, "giver"))
	defer stop(giver, giverHost)
	must(giver.AddFolder(ctx, folder))

	taker, takerHost := start(filepath.Join(dir, "taker"))
	defer stop(taker, takerHost)
	must(takerHost.Connect(ctx, peer.AddrInfo{ID: giverHost.ID(), Addrs: giverHost.Addrs()}))

	data, err := taker.Manifest(ctx, modelCID)
	must(err)
	model, err := modelfile.DecodeModel(data)
	must(err)
	data, err = taker.Manifest(ctx, model.Genome)
	must(err)
	genome, err := modelfile.DecodeGenome(data)
	must(err)
	path, err := taker.File(ctx, genome.Tiles[1], 1<<20, nil)
	must(err)

	original, _ := folder.Path(genome.Tiles[1])
	want, err := os.ReadFile(original)
	must(err)
	got, err := os.ReadFile(path)
	must(err)
	fmt.Println("the same bytes:", bytes.Equal(got, want))
	fmt.Println("the other tile is here:", taker.Has(genome.Tiles[0]))
	// Output:
	// the same bytes: true
	// the other tile is here: false
}

func start(dir string) (*content.Store, host.Host) {
	h, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/udp/0/quic-v1"))
	must(err)
	store, err := content.Open(dir, nil)
	must(err)
	store.Start(h, nil)
	return store, h
}

func stop(store *content.Store, h host.Host) {
	must(store.Close())
	must(h.Close())
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
