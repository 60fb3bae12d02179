package p2p_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/ipfs/go-cid"

	"github.com/zetagrid/zetagrid/node/p2p"
	"github.com/zetagrid/zetagrid/shardmap"
)

// Two nodes meet: the first serves four blocks, the second learns of it by the
// first's address alone and finds the chain.
func Example() {
	ctx := context.Background()
	genome := cid.MustParse("baguqeerasords4njcts6vs7qvdjfcvgnume4hqohf65zsfguprqphs3icwea")
	start := func(bootstrap ...string) (*p2p.Host, *p2p.Membership) {
		dir, err := os.MkdirTemp("", "p2p")
		if err != nil {
			log.Fatal(err)
		}
		key, err := p2p.LoadKey(dir)
		if err != nil {
			log.Fatal(err)
		}
		host, err := p2p.New(ctx, p2p.Options{
			Key: key, DataDir: dir, Bootstrap: bootstrap, Listen: []string{"/ip4/127.0.0.1/udp/0/quic-v1"},
		})
		if err != nil {
			log.Fatal(err)
		}
		member, err := host.Join(ctx, p2p.Grid{Genome: genome, Blocks: 4, Arithmetic: 1})
		if err != nil {
			log.Fatal(err)
		}
		return host, member
	}
	first, server := start()
	all := []shardmap.Range{{Lo: 0, Hi: 4}}
	server.Do(shardmap.Pin{Ranges: all})
	server.Do(shardmap.Loaded{Ranges: all})

	second, gateway := start(first.Addrs()...)
	for {
		changed := gateway.Changed()
		hops, err := gateway.Route(nil)
		if err == nil {
			fmt.Println(len(hops), "hop, blocks", hops[0].Range, "at the first:", p2p.PeerOf(hops[0].Node) == first.ID())
			break
		}
		<-changed
	}
	for _, part := range []interface{ Close() error }{gateway, second, server, first} {
		if err := part.Close(); err != nil {
			log.Fatal(err)
		}
	}
	// Output: 1 hop, blocks 0-4 at the first: true
}
