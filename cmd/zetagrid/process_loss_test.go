package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/zetagrid/zetagrid/node/api"
)

// endless is a question that is still being answered whenever a test looks.
var endless = question{prompt: "And so on", stream: true, temperature: 0.8, seed: 3, bytes: 1 << 20}

// testGateway: a process that owns no block answers through the others, and
// shows who they are.
func testGateway(t *testing.T, p program) {
	model := p.model(t, "--seed", "7")
	owners, gateway := threeAndGateway(t, p, model)
	if gateway.Blocks != (api.Span{}) {
		t.Errorf("the gateway owns %v", gateway.Blocks)
	}
	sameAnswer(t, sampled, sampled.reference(t, p, model), gateway)

	var said api.Status
	if err := json.Unmarshal(p.output(t, "grid", "status", "--json", "--api", gateway.API), &said); err != nil {
		t.Fatal(err)
	}
	for _, status := range []api.Status{said, gateway.status(t)} {
		if status.Self != gateway.Peer || status.Model != gateway.Model || status.Blocks != 6 || !status.Covered || len(status.Nodes) != 4 {
			t.Errorf("status %+v", status)
		}
		for _, node := range append(owners, gateway) {
			at := slices.IndexFunc(status.Nodes, func(n api.Node) bool { return n.Peer == node.Peer })
			if at < 0 || status.Nodes[at].Blocks != node.Blocks || status.Nodes[at].State != "serving" {
				t.Errorf("%s owns %v; the gateway says %+v", node.Peer, node.Blocks, status.Nodes)
			}
		}
	}
}

// threeAndGateway starts three nodes that own two blocks each, and one that owns
// none.
func threeAndGateway(t *testing.T, p program, model string) (owners []*process, gateway *process) {
	t.Helper()
	flags := append(alone, "--model", model)
	for _, blocks := range []string{"0-2", "2-4", "4-6"} {
		owners = append(owners, p.up(t, append(flags, "--data", t.TempDir(), "--blocks", blocks)...).ready(t))
		flags = append(slices.Clip(flags), "--bootstrap", owners[len(owners)-1].Addrs[0])
	}
	gateway = p.up(t, append(flags, "--data", t.TempDir(), "--memory", "0")...).ready(t)
	covered(t, append(owners, gateway)...)
	return owners, gateway
}

// cutOff is what became of an answer: its bytes, and nil or why it broke off.
type cutOff struct {
	bytes string
	err   error
}

// underWay asks for an answer that does not end by itself, and returns when n
// bytes of it have come.
func underWay(t *testing.T, node *process, n int) <-chan cutOff {
	t.Helper()
	came, ended := make(chan struct{}), make(chan cutOff, 1)
	go func() {
		count := 0
		all, err := endless.ask(t.Context(), node.API, func(part string) {
			if count < n && count+len(part) >= n {
				close(came)
			}
			count += len(part)
		})
		ended <- cutOff{all, err}
	}()
	select {
	case <-came:
	case early := <-ended:
		t.Fatalf("the answer ends after %q: %v", early.bytes, early.err)
	}
	return ended
}

// testLoss kills the only owner of two blocks while a prompt runs. A prompt given
// before the grid knows ends when its lease runs out, later ones are told at once
// what is missing; the one under way ends with a typed error behind a true prefix.
func testLoss(t *testing.T, p program) {
	model := p.model(t, "--seed", "8")
	owners, gateway := threeAndGateway(t, p, model)
	ended := underWay(t, gateway, 20)
	killed := time.Now()
	since := func() time.Duration { return time.Since(killed).Round(time.Millisecond) }
	owners[1].signal(t, syscall.SIGKILL)
	if err := owners[1].wait(t); err == nil {
		t.Error("a killed process exits as if it had ended")
	}
	var typed *api.Error
	_, err := sampled.ask(t.Context(), gateway.API, nil)
	if !errors.As(err, &typed) || !slices.Contains([]string{"hop_lost", "blocks_missing"}, typed.Code) {
		t.Errorf("a prompt over a chain that is dead already: %v, want a lost hop", err)
	}
	t.Logf("%v after the kill: %v", since(), err)

	lost := []api.Span{{2, 4}}
	await(t, "blocks 2-4 are missing", func() bool { return slices.Equal(gateway.status(t).Missing, lost) })
	t.Logf("missing %v after the kill", since())
	_, err = sampled.ask(t.Context(), gateway.API, nil)
	if !errors.As(err, &typed) || typed.Status != http.StatusServiceUnavailable ||
		typed.Code != "blocks_missing" || !slices.Equal(typed.Missing, lost) {
		t.Errorf("a prompt is told %#v (%v), want 503 and the missing blocks", typed, err)
	}
	_, err = exec.Command(string(p), "run", "--api", gateway.API, "Anyone").Output()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != exitFailed {
		t.Fatalf("zetagrid run --api: %v, want exit status 1", err)
	}
	if said := string(exit.Stderr); !strings.Contains(said, "2-4") || !strings.Contains(said, "start nodes that own them") {
		t.Errorf("zetagrid run --api says %q, want the missing blocks and what to do", said)
	}

	got := <-ended
	t.Logf("%d bytes, then, %v after the kill: %v", len(got.bytes), since(), got.err)
	if !errors.As(got.err, &typed) || !slices.Contains([]string{"hop_lost", "lap_deadline"}, typed.Code) {
		t.Errorf("the answer under way ends with %v, want a lost hop", got.err)
	}
	prefix := endless
	prefix.bytes = len(got.bytes)
	if want := prefix.reference(t, p, model); got.bytes != want {
		t.Errorf("%q is no prefix of the answer, which begins %q", got.bytes, want)
	}
}

// testSignals: one SIGTERM ends a node in order even while it answers; a second
// ends it at once.
func testSignals(t *testing.T, p program) {
	model := p.model(t, "--seed", "9")
	node := p.up(t, append(alone, "--data", t.TempDir(), "--model", model)...).ready(t)
	ended := underWay(t, node, 1)
	node.quit(t)
	if got := <-ended; got.err == nil {
		t.Error("an answer that the end cut short looks complete")
	}

	node = p.up(t, append(alone, "--data", t.TempDir(), "--model", model)...).ready(t)
	ended = underWay(t, node, 1)
	node.signal(t, syscall.SIGTERM)
	await(t, "the API takes no more calls", func() bool {
		answer, err := http.Get(node.API + "/healthz")
		if err == nil {
			_ = answer.Body.Close() // its status says enough
		}
		return err != nil
	})
	// One that follows at once is taken for the same, as when a process and its
	// group are both told.
	await(t, "a second signal ends the process", func() bool {
		return errors.Is(node.command.Process.Signal(syscall.SIGTERM), os.ErrProcessDone)
	})
	var exit *exec.ExitError
	if err := node.wait(t); !errors.As(err, &exit) || exit.ExitCode() != -1 { // -1: by a signal
		t.Errorf("after two signals: %v, want an end by the second", err)
	}
	<-ended
}

// testCancel: callers that go away in the middle of an answer leave nothing
// behind on any of four processes.
func testCancel(t *testing.T, p program) {
	model := p.model(t, "--seed", "10")
	nodes := fourOwners(t, p, model)
	whole, chat := endless, endless
	whole.stream, chat.chat = false, true
	questions := []question{endless, chat, whole}
	sessions := func(want int) func() bool {
		return func() bool {
			return !slices.ContainsFunc(nodes, func(n *process) bool { return n.metric(t, "zetagrid_sessions") != float64(want) })
		}
	}
	for i, node := range nodes {
		ctx, cancel := context.WithCancel(t.Context())
		var callers errgroup.Group
		for _, q := range questions {
			callers.Go(func() error {
				if _, err := q.ask(ctx, node.API, nil); !errors.Is(err, context.Canceled) {
					t.Errorf("gateway %d, %v: %v, want a cancel", i, q, err)
				}
				return nil
			})
		}
		await(t, "a session for each caller everywhere", sessions(len(questions)))
		began := time.Now()
		cancel()
		_ = callers.Wait() // they report to t
		await(t, "no session anywhere", sessions(0))
		t.Logf("gateway %d: all free %v after the cancel", i, time.Since(began).Round(time.Millisecond))
	}
	for _, name := range []string{"zetagrid_session_bytes", "zetagrid_executor_waiting", "zetagrid_api_active_generations"} {
		for i, node := range nodes {
			await(t, fmt.Sprint(name, " of node ", i, " is 0"), func() bool { return node.metric(t, name) == 0 })
		}
	}
	sameAnswer(t, sampled, sampled.reference(t, p, model), nodes...)
}
