package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"

	"github.com/zetagrid/zetagrid/node/api"
)

// doctorCmd is zetagrid doctor.
type doctorCmd struct {
	Bootstrap []string `placeholder:"ADDR" help:"Also dial this peer, a multiaddr ending in /p2p/PEER, and say how each address of it went. Repeatable."`
	Listen    []string `placeholder:"MULTIADDR" help:"Where to dial from, such as a port that the router forwards to a node that is down now. Repeatable. Default: every interface, a free port."`
	Model     string   `placeholder:"DIR" help:"Also check this model folder, without rehashing it (that is zetagrid model verify)."`
	API       string   `name:"api" placeholder:"URL" help:"Also ask the running node whose API this is."`
	Token     string   `env:"ZETAGRID_TOKEN" placeholder:"TOKEN" help:"Bearer token of that API."`
	Data      string   `placeholder:"DIR" env:"ZETAGRID_DATA" help:"Data folder to check. Default: this user's data folder."`
	JSON      bool     `name:"json" help:"Print one JSON document."`
}

func (*doctorCmd) Help() string {
	return examples(
		example{"zetagrid doctor", "test this machine: data folder, processor, GPUs, UDP, multicast"},
		example{"zetagrid doctor --bootstrap /ip4/192.0.2.1/udp/4001/quic-v1/p2p/PEER", "find out why a peer cannot be reached"},
		example{"zetagrid doctor --api http://127.0.0.1:8642", "and what a running node sees"},
	)
}

// outcome is how a check went.
type outcome string

const (
	outcomeOK   outcome = "ok"
	outcomeWarn outcome = "warn" // works, but not as well as it could
	outcomeFail outcome = "fail"
)

// doctorJSON is the output of zetagrid doctor --json.
type doctorJSON struct {
	Version versionJSON `json:"version"`
	Checks  []check     `json:"checks"`
	Dials   []dial      `json:"dials"` // of --bootstrap; empty without
	NAT     natClass    `json:"nat"`   // as the peers of --bootstrap see this machine
	Node    *api.Status `json:"node"`  // of --api; null without
}

// check is one thing looked at.
type check struct {
	Name    string  `json:"name"`
	Outcome outcome `json:"outcome"`
	Detail  string  `json:"detail"`
	Advice  string  `json:"advice"` // what to do; "" when all is well
}

// ok, warn and fail make checks.
func ok(name, format string, args ...any) check {
	return check{name, outcomeOK, fmt.Sprintf(format, args...), ""}
}

func warn(name, advice, format string, args ...any) check {
	return check{name, outcomeWarn, fmt.Sprintf(format, args...), advice}
}

func fail(name, advice string, err error) check {
	return check{name, outcomeFail, err.Error(), advice}
}

func (c *doctorCmd) Run(ctx context.Context, s *streams) error {
	report := doctorJSON{Version: buildVersion(), Checks: []check{}, Dials: []dial{}, NAT: natUnknown}
	report.add(c.checkData()...)
	report.add(checkProcessor()...)
	report.add(checkGPUs(machineGPUs)...)
	if c.Model != "" {
		report.add(checkModel(c.Model))
	}
	report.add(checkUDP(), checkBuffers(), checkMulticast())
	if len(c.Bootstrap) > 0 {
		dials, seen, err := dialBootstrap(ctx, c.Bootstrap, c.Listen)
		if err != nil {
			return err
		}
		report.Dials, report.NAT = dials, seen.class()
		report.add(summary(dials), seen.check())
	}
	if c.API != "" {
		report.add(c.askNode(ctx, &report))
	}
	if err := report.print(s, c.JSON); err != nil {
		return err
	}
	return report.verdict()
}

func (r *doctorJSON) add(checks ...check) { r.Checks = append(r.Checks, checks...) }

// verdict is an error when a check failed.
func (r *doctorJSON) verdict() error {
	var failed []string
	for _, c := range r.Checks {
		if c.Outcome == outcomeFail {
			failed = append(failed, c.Name)
		}
	}
	if len(failed) == 0 {
		return nil
	}
	return &remedy{errors.New(strings.Join(failed, ", ") + " failed"), "the report says what to do"}
}

// askNode asks the running node what it sees.
func (c *doctorCmd) askNode(ctx context.Context, report *doctorJSON) check {
	client := api.Client{Base: c.API, Token: c.Token}
	status, err := client.Status(ctx)
	if err != nil {
		return fail("node", "start it (zetagrid up), or correct --api and --token", err)
	}
	report.Node = &status
	if !status.Covered {
		return warn("node", "start nodes that own them: zetagrid up --blocks LO-HI",
			"nodes known: %d; blocks %s are missing", len(status.Nodes), spanList(status.Missing))
	}
	return ok("node", "nodes known: %d; all %d blocks covered", len(status.Nodes), status.Blocks)
}

func (r *doctorJSON) print(s *streams, asJSON bool) error {
	if asJSON {
		return s.printJSON(r)
	}
	var rows []table.Row
	for _, c := range r.Checks {
		detail := c.Detail
		if c.Advice != "" {
			detail += "\n→ " + c.Advice
		}
		rows = append(rows, table.Row{c.Outcome, c.Name, detail})
	}
	s.printTable(nil, rows)
	if len(r.Dials) > 0 {
		rows = nil
		for _, d := range r.Dials {
			rows = append(rows, table.Row{d.Outcome, d.Transport, d.Address, d.Reason})
		}
		if _, err := fmt.Fprintln(s.out); err != nil {
			return err
		}
		s.printTable(table.Row{"", "transport", "address tried", "reason"}, rows)
	}
	if r.Node != nil {
		rows = nil
		for _, n := range r.Node.Nodes {
			rows = append(rows, table.Row{n.State, spanList(n.Ranges), n.Peer + self(*r.Node, n), strings.Join(n.Addrs, "\n")})
		}
		if _, err := fmt.Fprintln(s.out); err != nil {
			return err
		}
		s.printTable(table.Row{"state", "blocks", "peer", "addresses"}, rows)
	}
	return nil
}
