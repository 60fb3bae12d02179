package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/zetagrid/zetagrid/node"
	"github.com/zetagrid/zetagrid/node/session"
	"github.com/zetagrid/zetagrid/tcn"
)

// demoNodes is how many nodes share out the blocks of a grid in one process.
const demoNodes = 3

// demoPatience bounds how long they may take to find each other.
const demoPatience = 20 * time.Second

// localGrid is a grid of nodes in this process, which talk QUIC over loopback
// and share the devices.
type localGrid struct {
	nodes []*node.Node
	done  func()
}

// gridOptions say what a localGrid is made of.
type gridOptions struct {
	model   string // model folder
	blocks  int    // how many the model has
	gateway bool   // a last node that owns no block
	api     string // of the first node; "" is none
	device  deviceFlags
	logger  *slog.Logger
}

// startGrid starts demoNodes nodes with a share of the blocks each, told the
// addresses of those before them. What it returns must be closed, also with an
// error.
func startGrid(ctx context.Context, o gridOptions) (*localGrid, error) {
	compute, done, err := o.device.compute()
	if err != nil {
		return &localGrid{done: func() {}}, err
	}
	grid := &localGrid{done: done}
	open, err := o.device.opener(compute, demoNodes)
	if err != nil {
		return grid, err
	}
	count := demoNodes
	if o.gateway {
		count++
	}
	for i := range count {
		options := node.Options{
			Model: o.model, Compute: compute, Logger: o.logger,
			Listen: []string{"/ip4/127.0.0.1/udp/0/quic-v1"},
		}
		if i < demoNodes {
			options.Open = open
			options.Blocks = []tcn.Range{{Lo: o.blocks * i / demoNodes, Hi: o.blocks * (i + 1) / demoNodes}}
		}
		if i == 0 {
			options.API = o.api
		}
		for _, earlier := range grid.nodes {
			options.Bootstrap = append(options.Bootstrap, earlier.Addrs()...)
		}
		n, err := node.Start(ctx, options)
		if err != nil {
			return grid, err
		}
		grid.nodes = append(grid.nodes, n)
	}
	return grid, nil
}

// waitCovered waits until a node sees that all blocks are served.
func waitCovered(ctx context.Context, n *node.Node) error {
	ctx, cancel := context.WithTimeout(ctx, demoPatience)
	defer cancel()
	events := n.Events(ctx)
	for {
		status := n.Status()
		if status.Covered {
			return nil
		}
		if _, open := <-events; !open {
			return &remedy{
				fmt.Errorf("%w: %s", session.ErrUncovered, spanList(status.Missing)),
				"zetagrid doctor tests whether UDP works on this machine",
			}
		}
	}
}

// Close ends the nodes, the last first, and then the device.
func (g *localGrid) Close() error {
	var errs []error
	for i := len(g.nodes) - 1; i >= 0; i-- {
		errs = append(errs, g.nodes[i].Close())
	}
	g.done()
	return errors.Join(errs...)
}
