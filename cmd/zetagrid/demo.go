package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/zetagrid/zetagrid/node"
	"github.com/zetagrid/zetagrid/node/api"
	"github.com/zetagrid/zetagrid/node/session"
)

// demoCmd is zetagrid demo.
type demoCmd struct {
	Prompt   string `default:"Three nodes walk into a grid, and " placeholder:"TEXT" help:"The prompt."`
	MaxBytes int    `default:"120" placeholder:"N" help:"Bytes to generate at most. Default 120."`
	samplingFlags
	Serve bool   `help:"Leave the grid and its HTTP API up after the answer, until interrupted."`
	API   string `name:"api" default:"127.0.0.1:0" placeholder:"HOST:PORT" help:"Where --serve serves the API. Default: loopback, a free port."`
	deviceFlags
	logFlags
}

func (*demoCmd) Help() string {
	return examples(
		example{"zetagrid demo", "three nodes in one process answer a prompt over QUIC"},
		example{"zetagrid demo --serve", "then leave the API up and print how to ask it"},
	)
}

// Validate is called by kong after parsing.
func (c *demoCmd) Validate() error {
	if c.Prompt == "" {
		return errors.New("--prompt is empty")
	}
	return c.samplingFlags.Validate()
}

func (c *demoCmd) Run(ctx context.Context, s *streams) (err error) {
	folder, err := os.MkdirTemp("", "zetagrid-demo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	model, err := defaultModel(ctx, s, folder)
	if err != nil {
		return err
	}
	address := ""
	if c.Serve {
		address = c.API
	}
	grid, err := startGrid(ctx, gridOptions{
		model: model, blocks: seededConfig().Blocks(), api: address, device: c.deviceFlags, logger: c.logger(s.err),
	})
	defer func() { err = errors.Join(err, grid.Close()) }()
	if err != nil {
		return err
	}
	gateway := grid.nodes[0]
	if err := waitCovered(ctx, gateway); err != nil {
		return err
	}
	for _, n := range gateway.Status().Nodes {
		s.note("node %s serves blocks %s", n.Peer, spanList(n.Ranges))
	}
	if err := c.answer(ctx, s, gateway); err != nil {
		return err
	}
	if !c.Serve {
		return nil
	}
	url := gateway.APIAddr()
	s.note("the grid serves %s until you press Ctrl-C; ask it with\n\n"+
		"  curl %s/v1/completions -d '{\"prompt\":\"Hello\",\"max_tokens\":32}'\n"+
		"  go run ./cmd/zetagrid grid map --api %s\n", url, url, url)
	<-ctx.Done()
	return nil
}

// answer streams one answer to standard output, the prompt before it.
func (c *demoCmd) answer(ctx context.Context, s *streams, gateway *node.Node) error {
	request := session.Request{
		Prompt: []byte(c.Prompt), MaxBytes: c.MaxBytes, Sampling: c.sampling(), LogProbs: -1,
	}
	answer, err := gateway.Generate(ctx, request)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Close() }() // it has ended, or its error is known
	if _, err := fmt.Fprint(s.out, c.Prompt); err != nil {
		return err
	}
	text := textWriter(s.out)
	err = errors.Join(copyAnswer(text, answer), text.Close())
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintln(s.out); err != nil {
		return err
	}
	s.note("%s", rateOf(answer))
	return nil
}

// rateOf says what an answer cost, in a line.
func rateOf(answer api.Stream) string {
	u := answer.Usage()
	return fmt.Sprintf("%d bytes through %d hops in %v: %v computing, %v on the wire, %v waiting",
		u.GeneratedBytes, len(u.Hops), u.Total.Round(time.Millisecond), u.Compute.Round(time.Millisecond),
		u.Wire.Round(time.Millisecond), u.Queue.Round(time.Millisecond))
}
