package main

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/ipfs/go-cid"

	"github.com/zetagrid/zetagrid/node"
	"github.com/zetagrid/zetagrid/node/api"
)

// upCmd is zetagrid up.
type upCmd struct {
	Model     string       `placeholder:"MODEL" help:"Model folder or Model CID to serve. Default: the model in this program."`
	Bootstrap []string     `placeholder:"ADDR" help:"A peer to join, a multiaddr ending in /p2p/PEER. Repeatable."`
	MDNS      bool         `name:"mdns" default:"true" negatable:"" help:"Look for peers on the local network. Default: yes."`
	DHT       bool         `name:"dht" default:"true" negatable:"" help:"Look for peers in the DHT, and serve it. Default: yes."`
	Blocks    []blockRange `placeholder:"LO-HI" help:"Fractal Blocks to own; 0-2 is the blocks 0 and 1. Repeatable, or a comma list. Default: what the grid lacks."`
	Memory    *byteSize    `placeholder:"SIZE" help:"Memory that weights may take (512MB, 8GiB) where --blocks does not say which; 0 owns no block. Default: half of the machine's, or what --device has for them."`
	Listen    []string     `placeholder:"MULTIADDR" help:"QUIC address to listen on, such as /ip4/0.0.0.0/udp/4001/quic-v1. Repeatable. Default: every interface, a free port."`
	Announce  []string     `placeholder:"MULTIADDR" help:"An address that leads here from outside, such as /ip4/192.0.2.1/udp/4001/quic-v1, where a router or a cloud forwards it. Repeatable."`
	API       string       `name:"api" default:"127.0.0.1:8642" placeholder:"HOST:PORT" help:"Where to serve the HTTP API; port 0 picks a free one, \"\" is none. Beyond loopback it needs --token. Default 127.0.0.1:8642."`
	Token     string       `env:"ZETAGRID_TOKEN" placeholder:"TOKEN" help:"Bearer token that API clients must send."`
	Data      string       `placeholder:"DIR" env:"ZETAGRID_DATA" help:"Folder of the key, tiles and known peers. Default: this user's data folder."`
	JSON      bool         `name:"json" help:"Print one line of JSON when it serves."`
	deviceFlags
	logFlags
}

func (*upCmd) Help() string {
	return examples(
		example{"zetagrid up", "join the grid of the local network, or start one"},
		example{"zetagrid up --model ./model --blocks 0-2,4-6", "serve blocks 0, 1, 4 and 5 of a model"},
		example{"zetagrid up --model CID --bootstrap /ip4/192.0.2.1/udp/4001/quic-v1/p2p/PEER", "join through a peer and fetch what is missing by CID"},
		example{"zetagrid up --device cuda:0,cuda:1", "compute on two GPUs, which share the node's blocks"},
		example{"zetagrid up --memory 0 --api 127.0.0.1:0 --json", "own no block, only answer prompts, on a free port"},
	)
}

// upReady is the line of zetagrid up --json.
type upReady struct {
	Event  string   `json:"event"` // "ready"
	Peer   string   `json:"peer"`
	Addrs  []string `json:"addrs"`  // each ends in /p2p/PEER
	API    string   `json:"api"`    // http://HOST:PORT
	Model  string   `json:"model"`  // Model CID
	Blocks api.Span `json:"blocks"` // first range [lo, hi); [0, 0] for none
}

// Validate is called by kong after parsing.
func (c *upCmd) Validate() error {
	if c.API != "" {
		if err := checkHostPort(c.API); err != nil {
			return err
		}
	}
	if len(c.Blocks) > 0 && c.Memory != nil && *c.Memory == 0 {
		return errors.New("--blocks and --memory 0 exclude each other")
	}
	return nil
}

func (c *upCmd) Run(ctx context.Context, s *streams) error {
	options, done, err := c.options(ctx, s)
	if err != nil {
		return err
	}
	defer done()
	if _, err := cid.Decode(options.Model); err == nil {
		s.note("fetching what is missing of model %s from peers", options.Model)
	}
	bar := &fetchBar{bar: modelProgress(s)}
	options.Progress = bar.update
	defer bar.end()
	n, err := node.Start(ctx, options)
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return nil // told to end before it served: an end like any other
	}
	if err != nil {
		return err
	}
	return errors.Join(c.serve(ctx, s, n, bar.end), n.Close())
}

// fetchBar shows how much of the node's blocks is here, until the node is ready.
type fetchBar struct {
	mu    sync.Mutex
	bar   modelBar
	ended bool
}

func (b *fetchBar) update(have, size int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.ended {
		b.bar.update("fetching blocks", have, size)
	}
}

func (b *fetchBar) end() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.ended {
		b.ended = true
		b.bar.end()
	}
}

// options turns the flags into a node's options and says what to call after the
// node has ended.
func (c *upCmd) options(ctx context.Context, s *streams) (node.Options, func(), error) {
	data, err := dataFolder(c.Data)
	if err != nil {
		return node.Options{}, nil, err
	}
	model, err := modelOrDefault(s, c.Model, data)
	if err != nil {
		return node.Options{}, nil, err
	}
	compute, done, err := c.compute()
	if err != nil {
		return node.Options{}, nil, err
	}
	open, err := c.opener(compute, max(1, len(c.Blocks)))
	if err != nil {
		done()
		return node.Options{}, nil, err
	}
	memory := int64(-1)
	if c.Memory != nil {
		memory = int64(*c.Memory)
	}
	return node.Options{
		Data: data, Model: model, Blocks: ranges(c.Blocks), Memory: memory,
		Listen: c.Listen, Announce: c.Announce, Bootstrap: c.Bootstrap, MDNS: c.MDNS, DHT: c.DHT,
		API: c.API, Token: c.Token, Compute: compute, Open: open, Logger: c.logger(s.err),
	}, done, nil
}

// serve says that the node is ready, after a call of ready, and waits for its end.
func (c *upCmd) serve(ctx context.Context, s *streams, n *node.Node, ready func()) error {
	select {
	case <-n.Ready():
	case <-n.Done():
		return nil // Close has the reason
	case <-ctx.Done():
		return nil
	}
	ready()
	if err := c.announce(s, n); err != nil {
		return err
	}
	select {
	case <-n.Done():
	case <-ctx.Done():
	}
	return nil
}

func (c *upCmd) announce(s *streams, n *node.Node) error {
	ready := upReady{Event: "ready", Peer: n.Peer(), Addrs: n.Addrs(), API: n.APIAddr(), Model: n.ModelCID()}
	if blocks := n.Blocks(); len(blocks) > 0 {
		ready.Blocks = api.SpanOf(blocks[0])
	}
	if c.JSON {
		return s.printJSON(ready)
	}
	serves := ready.API
	if serves == "" {
		serves = "none"
	}
	_, err := fmt.Fprintf(s.out, "serving model %s\n  blocks  %s\n  API     %s\n", ready.Model, blockList(n.Blocks()), serves)
	if err == nil && !c.Device.isProcessor() {
		_, err = fmt.Fprintf(s.out, "  device  %s\n", n.Status().Device.Name)
	}
	for _, addr := range ready.Addrs {
		if err == nil {
			_, err = fmt.Fprintf(s.out, "  join    zetagrid up --model %s --bootstrap %s\n", ready.Model, addr)
		}
	}
	return err
}
