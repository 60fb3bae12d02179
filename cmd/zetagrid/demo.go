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
	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/modelfile"
)

// demoCmd is zetagrid demo.
type demoCmd struct {
	Prompt   string `default:"Three nodes walk into a grid, and " placeholder:"TEXT" help:"The prompt."`
	MaxBytes int    `default:"120" placeholder:"N" help:"Bytes to generate at most. Default 120."`
	demoSampling
	Serve bool   `help:"Leave the grid and its HTTP API up after the answer, until interrupted."`
	API   string `name:"api" default:"127.0.0.1:0" placeholder:"HOST:PORT" help:"Where --serve serves the API. Default: loopback, a free port."`
	deviceFlags
	logFlags
}

// demoSampling is samplingFlags with other defaults: text that does not run in
// circles, the same every time.
type demoSampling struct {
	Temperature float32 `default:"0.8" placeholder:"T" help:"0 takes the likeliest byte every time; 1 draws from the model's own probabilities. Default 0.8."`
	TopK        int     `name:"top-k" default:"0" placeholder:"K" help:"Draw from the K likeliest bytes; 0 is all 256. Default 0."`
	TopP        float32 `name:"top-p" default:"0.95" placeholder:"P" help:"Draw from the likeliest bytes whose probabilities reach P; 1 is all. Default 0.95."`
	Seed        seed    `default:"1" placeholder:"N" help:"Seed of the draws. Default 1."`
}

func (d demoSampling) sampling() tcn.Sampling {
	return tcn.Sampling{Temperature: d.Temperature, TopK: d.TopK, TopP: api.Nucleus(d.TopP), Seed: uint64(d.Seed)}
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
	if err := checkHostPort(c.API); err != nil {
		return err
	}
	return errors.Join(checkMaxBytes(c.MaxBytes), checkSampling(c.Temperature, c.TopK, c.TopP))
}

func (c *demoCmd) Run(ctx context.Context, s *streams) (err error) {
	folder, err := os.MkdirTemp("", "zetagrid-demo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	model, err := defaultModel(s, folder)
	if err != nil {
		return err
	}
	opened, err := modelfile.OpenFolder(model)
	if err != nil {
		return err
	}
	genome, _ := opened.Genome()
	address := ""
	if c.Serve {
		address = c.API
	}
	grid, err := startGrid(ctx, gridOptions{
		model: model, blocks: genome.Config.Blocks(), api: address, device: c.deviceFlags, logger: c.logger(s.err),
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
	if err := copyAnswer(text, answer); err != nil {
		return err
	}
	if err := text.Close(); err != nil {
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
