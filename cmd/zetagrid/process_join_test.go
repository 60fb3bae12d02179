package main

import (
	"io/fs"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"
)

// sampled is a question whose answer depends on everything that an answer may
// depend on.
var sampled = question{prompt: "Whoever is asked", stream: true, temperature: 0.8, seed: 11, bytes: 40}

// sameAnswer asks every node a question; each must say what want is.
func sameAnswer(t *testing.T, q question, want string, nodes ...*process) {
	t.Helper()
	for i, node := range nodes {
		if got, err := q.ask(t.Context(), node.API, nil); err != nil || got != want {
			t.Errorf("node %d: %q (%v), want %q", i, got, err, want)
		}
	}
}

// testJoin: three processes with an empty folder, one address and a model CID
// join a fourth that has the model, of 20 MB, fetch what they own from it, and
// answer as it does.
func testJoin(t *testing.T, p program) {
	model := p.model(t, "--d-model", "128", "--d-ff", "272")
	want := sampled.reference(t, p, model)
	for _, each := range []struct {
		room   string
		memory []string
		most   int // blocks
	}{
		{"a third of the model", []string{"--memory", "7MB"}, 2},
		{"the whole model", nil, 6},
	} {
		t.Run(each.room, func(t *testing.T) {
			began := time.Now()
			since := func() time.Duration { return time.Since(began).Round(time.Millisecond) }
			flags := append([]string{"--no-mdns"}, each.memory...)
			nodes := []*process{p.up(t, append(flags, "--data", t.TempDir(), "--model", model)...).ready(t)}
			t.Logf("the first is ready after %v", since())
			for range 3 {
				nodes = append(nodes, p.up(t, append(flags, "--data", t.TempDir(),
					"--model", nodes[0].Model, "--bootstrap", nodes[0].Addrs[0])...))
			}
			for i, node := range nodes[1:] {
				node.ready(t)
				if owned := node.Blocks.Range().Len(); owned < 1 || owned > each.most {
					t.Errorf("node %d owns %v, want 1 to %d blocks", i+1, node.Blocks, each.most)
				}
			}
			t.Logf("all are ready after %v", since())
			covered(t, nodes...)
			sameAnswer(t, sampled, want, nodes...)
			t.Logf("all have answered after %v", since())
		})
	}
}

// testDiscovery: three processes find one another in each single way. Two know
// only the model's CID, so it is also how they find what they fetch.
func testDiscovery(t *testing.T, p program) {
	// Nodes of another test on the same network must be no part of this grid.
	model := p.model(t, "--seed", strconv.Itoa(os.Getpid()))
	want := sampled.reference(t, p, model)
	for _, way := range []struct {
		name  string
		flags []string
		meet  func(t *testing.T) (flags []string) // nil: the others are told of the first
	}{
		{name: "bootstrap", flags: alone},
		{name: "dht", flags: []string{"--no-mdns"}, meet: func(t *testing.T) []string {
			// A peer that takes no part in any grid: it hears no claims.
			peer := p.start(t, "bootstrap", "--json", "--listen", loopback, "--data", t.TempDir()).ready(t)
			return []string{"--bootstrap", peer.Addrs[0]}
		}},
		{name: "mdns", flags: []string{"--no-dht"}, meet: func(t *testing.T) []string {
			if why := noMulticast(); why != "" {
				t.Skip(why)
			}
			return nil
		}},
	} {
		t.Run(way.name, func(t *testing.T) {
			flags := way.flags
			if way.meet != nil {
				flags = append(slices.Clip(flags), way.meet(t)...)
			}
			began := time.Now()
			nodes := []*process{p.up(t, append(flags, "--data", t.TempDir(), "--model", model, "--blocks", "0-2")...).ready(t)}
			if way.meet == nil {
				flags = append(slices.Clip(flags), "--bootstrap", nodes[0].Addrs[0])
			}
			for _, blocks := range []string{"2-4", "4-6"} {
				nodes = append(nodes, p.up(t, append(flags, "--data", t.TempDir(), "--model", nodes[0].Model, "--blocks", blocks)...))
			}
			for _, node := range nodes[1:] {
				node.ready(t)
			}
			covered(t, nodes...)
			t.Logf("three nodes serve after %v", time.Since(began).Round(time.Millisecond))
			sameAnswer(t, sampled, want, nodes...)
		})
	}
}

// noMulticast says why peers cannot be found by multicast here, or nothing. The
// nodes listen on loopback, so whoever else hears of them cannot reach them.
func noMulticast() string {
	interfaces, err := net.Interfaces()
	if err != nil {
		return err.Error()
	}
	for _, i := range interfaces {
		if i.Flags&net.FlagUp != 0 && i.Flags&net.FlagMulticast != 0 {
			if addrs, err := i.Addrs(); err == nil && len(addrs) > 0 {
				return ""
			}
		}
	}
	return "no network interface that is up can do multicast"
}

// testRestart: a node that is ended and started again with its folder, and told
// of nobody, is the same peer, fetches nothing again, finds the peers it knew and
// answers as before.
func testRestart(t *testing.T, p program) {
	model := p.model(t, "--seed", "6")
	want := sampled.reference(t, p, model)
	first := p.up(t, append(alone, "--data", t.TempDir(), "--model", model, "--blocks", "0-3")...).ready(t)
	data := t.TempDir()
	again := append(slices.Clip(alone), "--data", data, "--model", first.Model, "--blocks", "3-6")
	second := p.up(t, append(again, "--bootstrap", first.Addrs[0])...).ready(t)
	covered(t, first, second)
	sameAnswer(t, sampled, want, first, second)
	fetched := times(t, filepath.Join(data, "content", "files"))
	second.quit(t)

	third := p.up(t, again...).ready(t)
	if third.Peer != second.Peer {
		t.Errorf("peer %s after the restart, want %s", third.Peer, second.Peer)
	}
	covered(t, first, third)
	sameAnswer(t, sampled, want, first, third)
	if now := times(t, filepath.Join(data, "content", "files")); len(fetched) < 4 || !maps.Equal(now, fetched) {
		t.Errorf("files after the restart %v, want the ends and three tiles of before: %v", now, fetched)
	}
	third.quit(t)
	first.quit(t)
}

// times is when each file in a folder was last changed.
func times(t *testing.T, folder string) map[string]time.Time {
	t.Helper()
	changed := map[string]time.Time{}
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err == nil {
			changed[entry.Name()] = info.ModTime()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return changed
}
