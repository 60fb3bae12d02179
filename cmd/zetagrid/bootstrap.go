package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"

	"github.com/zetagrid/zetagrid/bootstrap"
)

// logFlags choose what a long-running command logs to standard error.
type logFlags struct {
	Verbose bool `short:"v" help:"Log everything to standard error, not only what is wrong."`
}

func (f logFlags) logger(w io.Writer) *slog.Logger {
	level := slog.LevelWarn
	if f.Verbose {
		level = slog.LevelDebug
	}
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level}))
}

// bootstrapCmd is zetagrid bootstrap.
type bootstrapCmd struct {
	Listen    []string `placeholder:"MULTIADDR" help:"Where to listen. Default: every interface, UDP port 4001."`
	Announce  []string `placeholder:"MULTIADDR" help:"An address that leads here from outside, such as /ip4/192.0.2.1/udp/4001/quic-v1, where a router or a cloud forwards it. Repeatable."`
	Bootstrap []string `placeholder:"ADDR" help:"Another bootstrap peer to stay connected to, a multiaddr ending in /p2p/PEER. Repeatable."`
	RelayRows bool     `help:"Also carry rows, without limits, between peers whose NATs let no direct connection through. Default: control only."`
	Data      string   `placeholder:"DIR" env:"ZETAGRID_DATA" help:"Folder of the key and the known peers. Default: this user's data folder."`
	JSON      bool     `name:"json" help:"Print one line of JSON when it listens."`
	logFlags
}

func (*bootstrapCmd) Help() string {
	return examples(
		example{"zetagrid bootstrap", "help others find each other; it prints the addresses to give them"},
		example{"zetagrid bootstrap --listen /ip4/127.0.0.1/udp/0/quic-v1 --json", "on this machine only, a free port, for a program to read"},
	)
}

// bootstrapReady is the line of zetagrid bootstrap --json.
type bootstrapReady struct {
	Event string   `json:"event"` // "ready"
	Peer  string   `json:"peer"`
	Addrs []string `json:"addrs"` // each ends in /p2p/PEER
}

// bootstrapListen is where a bootstrap peer listens when nothing is said: a port
// that stays, so that its address can be handed out.
var bootstrapListen = []string{"/ip4/0.0.0.0/udp/4001/quic-v1", "/ip6/::/udp/4001/quic-v1"}

func (c *bootstrapCmd) Run(ctx context.Context, s *streams) error {
	data, err := dataFolder(c.Data)
	if err == nil && c.Data == "" { // beside that of this user's node, which may run too
		data, err = dataFolder(filepath.Join(data, "bootstrap"))
	}
	if err != nil {
		return err
	}
	if len(c.Listen) == 0 {
		c.Listen = bootstrapListen
	}
	peer, err := bootstrap.Run(ctx, bootstrap.Options{
		Data: data, Listen: c.Listen, Announce: c.Announce, Bootstrap: c.Bootstrap, RelayRows: c.RelayRows, Logger: c.logger(s.err),
	})
	if err != nil {
		return err
	}
	if err := c.announce(s, peer); err != nil {
		_ = peer.Close() // the first error counts
		return err
	}
	<-ctx.Done()
	return peer.Close()
}

func (c *bootstrapCmd) announce(s *streams, peer *bootstrap.Peer) error {
	if c.JSON {
		return s.printJSON(bootstrapReady{"ready", peer.ID(), peer.Addrs()})
	}
	for _, addr := range peer.Addrs() {
		if _, err := fmt.Fprintf(s.out, "zetagrid up --bootstrap %s\n", addr); err != nil {
			return err
		}
	}
	return nil
}
