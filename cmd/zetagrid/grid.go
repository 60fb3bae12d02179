package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"

	"github.com/zetagrid/zetagrid/node/api"
	"github.com/zetagrid/zetagrid/tcn"
)

// gridCmd groups what looks at a grid.
type gridCmd struct {
	Status gridStatusCmd `cmd:"" help:"Show the nodes of the grid and whether they cover the model."`
	Map    gridMapCmd    `cmd:"" help:"Show which node owns which Fractal Block."`
}

// apiFlags name the node whose API is asked.
type apiFlags struct {
	API   string `name:"api" default:"http://127.0.0.1:8642" placeholder:"URL" help:"API of a running node. Default http://127.0.0.1:8642."`
	Token string `env:"ZETAGRID_TOKEN" placeholder:"TOKEN" help:"Bearer token of that API."`
}

// gridStatusCmd is zetagrid grid status.
type gridStatusCmd struct {
	apiFlags
	JSON bool `name:"json" help:"Print the answer of /api/v1/grid."`
}

func (*gridStatusCmd) Help() string {
	return examples(
		example{"zetagrid grid status", "ask the node of this machine"},
		example{"zetagrid grid status --api http://127.0.0.1:8643 --json", "ask another, for a program to read"},
	)
}

func (c *gridStatusCmd) Run(ctx context.Context, s *streams) error {
	status, err := c.status(ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		return s.printJSON(status)
	}
	covered := "covered"
	if !status.Covered {
		covered = "missing " + spanList(status.Missing)
	}
	if _, err := fmt.Fprintf(s.out, "model %s\n%d blocks, %s\n%s\n", status.Model, status.Blocks, covered, deviceLine(status.Device)); err != nil {
		return err
	}
	var rows []table.Row
	for _, n := range status.Nodes {
		rows = append(rows, table.Row{n.Peer + self(status, n), spanList(n.Ranges), n.State})
	}
	s.printTable(table.Row{"peer", "blocks", "state"}, rows)
	return nil
}

// deviceLine says how the device of the node that answers is, if the node says.
func deviceLine(d *api.Device) string {
	if d == nil {
		return ""
	}
	line := fmt.Sprintf("device of this node: %s, %s", d.Name, strings.ReplaceAll(string(d.State), "_", " "))
	if d.Failures > 0 {
		line += fmt.Sprintf(", failed %d times", d.Failures)
	}
	if d.Error != "" {
		line += ": " + d.Error
	}
	return line + "\n"
}

// self marks the node that answers.
func self(status api.Status, n api.Node) string {
	if n.Peer == status.Self {
		return " (this node)"
	}
	return ""
}

// gridMapCmd is zetagrid grid map.
type gridMapCmd struct {
	apiFlags
	JSON bool `name:"json" help:"Print JSON: one entry for each block."`
}

func (*gridMapCmd) Help() string {
	return examples(example{"zetagrid grid map", "one line for each block, with the nodes that own it"})
}

// gridMapJSON is the output of zetagrid grid map --json.
type gridMapJSON struct {
	Model  string     `json:"model"` // Model CID
	Blocks []ownersOf `json:"blocks"`
}

// ownersOf is one block of gridMapJSON.
type ownersOf struct {
	Block int      `json:"block"`
	Peers []string `json:"peers"` // serving it; empty when it is missing
}

func (c *gridMapCmd) Run(ctx context.Context, s *streams) error {
	status, err := c.status(ctx)
	if err != nil {
		return err
	}
	m := ownersByBlock(status)
	if c.JSON {
		return s.printJSON(m)
	}
	var rows []table.Row
	for _, b := range m.Blocks {
		peers := strings.Join(b.Peers, " ")
		if peers == "" {
			peers = "missing"
		}
		rows = append(rows, table.Row{b.Block, peers})
	}
	s.printTable(table.Row{"block", "served by"}, rows)
	return nil
}

func ownersByBlock(status api.Status) gridMapJSON {
	m := gridMapJSON{Model: status.Model, Blocks: []ownersOf{}}
	for b := range status.Blocks {
		owners := ownersOf{b, []string{}}
		for _, n := range status.Nodes {
			for _, span := range n.Ranges {
				if n.State == "serving" && span.Range().Contains(tcn.Range{Lo: b, Hi: b + 1}) {
					owners.Peers = append(owners.Peers, n.Peer)
				}
			}
		}
		m.Blocks = append(m.Blocks, owners)
	}
	return m
}

// spanList writes ranges as the flags take them: 0-2,4-6.
func spanList(spans []api.Span) string {
	var list []tcn.Range
	for _, s := range spans {
		list = append(list, s.Range())
	}
	return blockList(list)
}

// blockList writes ranges as the flags take them; none for none.
func blockList(list []tcn.Range) string {
	if len(list) == 0 {
		return "none"
	}
	var words []string
	for _, r := range list {
		words = append(words, fmt.Sprintf("%d-%d", r.Lo, r.Hi))
	}
	return strings.Join(words, ",")
}

// status asks the node for what it knows of the grid.
func (f apiFlags) status(ctx context.Context) (api.Status, error) {
	client := api.Client{Base: f.API, Token: f.Token}
	status, err := client.Status(ctx)
	return status, err
}
