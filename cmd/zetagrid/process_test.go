package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestProcesses runs the program as processes of their own, which find one another
// over loopback and nothing else:
//
//	go test ./cmd/zetagrid -run TestProcesses/join -v
func TestProcesses(t *testing.T) {
	t.Setenv("ZETAGRID_TOKEN", "")
	t.Setenv("ZETAGRID_DATA", "")
	built := installed(t)
	var aside sync.WaitGroup
	defer aside.Wait()
	if !testing.Short() {
		// It waits half a minute for a deadline, and computes next to nothing.
		aside.Go(func() { t.Run("loss", func(t *testing.T) { testLoss(t, built) }) })
	}
	for _, test := range []struct {
		name string
		run  func(*testing.T, program)
		long bool // left out by -short
	}{
		{"one answer", testOneAnswer, true},
		{"join", testJoin, true},
		{"discovery", testDiscovery, true},
		{"restart", testRestart, false},
		{"gateway", testGateway, false},
		{"signals", testSignals, true},
		{"cancel", testCancel, false},
	} {
		if !test.long || !testing.Short() {
			t.Run(test.name, func(t *testing.T) { test.run(t, built) })
		}
	}
}

// program is the path of a zetagrid.
type program string

// installed is the copy of the test binary that TestMain lets run as zetagrid: it
// is built as the test is, with the race detector where that is on.
func installed(tb testing.TB) program {
	tb.Helper()
	path, err := exec.LookPath("zetagrid")
	if err != nil {
		tb.Fatal(err)
	}
	return program(path)
}

// output runs the program to its end, which must be exit status 0, and returns
// its standard output.
func (p program) output(tb testing.TB, args ...string) []byte {
	tb.Helper()
	out, err := exec.Command(string(p), args...).Output()
	if err != nil {
		tb.Fatalf("zetagrid %q: %v: %s", args, err, saidBy(err))
	}
	return out
}

// saidBy is the standard error of a program that exec.Cmd.Output found to fail.
func saidBy(err error) string {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return string(exit.Stderr)
	}
	return ""
}

// model makes the folder of a seeded model.
func (p program) model(tb testing.TB, sizes ...string) string {
	tb.Helper()
	folder := filepath.Join(tb.TempDir(), "model")
	p.output(tb, append([]string{"model", "init", "-o", folder}, sizes...)...)
	return folder
}

// process is a zetagrid that serves, or will.
type process struct {
	upReady // what it said of itself; valid after ready

	command *exec.Cmd
	line    chan []byte // gets the first line of its standard output
	stderr  bytes.Buffer
	ended   chan struct{} // closed when it has ended; then err and stderr are valid
	err     error
}

// up starts a node on loopback that looks for peers as args say, and only so.
func (p program) up(tb testing.TB, args ...string) *process {
	tb.Helper()
	return p.start(tb, append([]string{
		"up", "--json", "--listen", loopback, "--api", "127.0.0.1:0",
	}, args...)...)
}

// loopback is where the nodes of these tests listen, each on a free port.
const loopback = "/ip4/127.0.0.1/udp/0/quic-v1"

// alone are the flags of a node that does not look for peers; --bootstrap adds
// the peers it is told of.
var alone = []string{"--no-mdns", "--no-dht"}

// start starts the program; it ends with the test at the latest.
func (p program) start(tb testing.TB, args ...string) *process {
	tb.Helper()
	q := &process{
		command: exec.Command(string(p), args...),
		line:    make(chan []byte, 1), ended: make(chan struct{}),
	}
	q.command.Stderr = &q.stderr
	stdout, err := q.command.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := q.command.Start(); err != nil {
		tb.Fatal(err)
	}
	go func() {
		lines := bufio.NewReader(stdout)
		line, _ := lines.ReadBytes('\n') // an end without a line is an empty line
		q.line <- line
		_, _ = io.Copy(io.Discard, lines)
		q.err = q.command.Wait()
		close(q.ended)
	}()
	tb.Cleanup(func() {
		_ = q.command.Process.Kill() // it may have ended
		<-q.ended
		if tb.Failed() {
			tb.Logf("zetagrid %q: %v\n%s", args, q.err, &q.stderr)
		}
	})
	return q
}

// ready waits until a process serves.
func (q *process) ready(tb testing.TB) *process {
	tb.Helper()
	select {
	case line := <-q.line:
		if err := json.Unmarshal(line, &q.upReady); err != nil || len(q.Addrs) == 0 {
			tb.Fatalf("zetagrid %q does not serve: it says %q", q.command.Args[1:], line)
		}
	case <-time.After(patience):
		tb.Fatalf("zetagrid %q does not serve in %v", q.command.Args[1:], patience)
	}
	return q
}

// signal sends a process a signal.
func (q *process) signal(tb testing.TB, signal os.Signal) {
	tb.Helper()
	if err := q.command.Process.Signal(signal); err != nil {
		tb.Fatal(err)
	}
}

// wait waits for the end of a process and returns how it ended.
func (q *process) wait(tb testing.TB) error {
	tb.Helper()
	select {
	case <-q.ended:
	case <-time.After(patience):
		tb.Fatalf("zetagrid %q does not end in %v", q.command.Args[1:], patience)
	}
	return q.err
}

// quit ends a process as a user does; it must exit with status 0.
func (q *process) quit(tb testing.TB) {
	tb.Helper()
	began := time.Now()
	q.signal(tb, syscall.SIGTERM)
	if err := q.wait(tb); err != nil {
		tb.Errorf("after SIGTERM: %v", err)
	}
	tb.Logf("ended %v after SIGTERM", time.Since(began).Round(time.Millisecond))
}

// await polls until what holds.
func await(tb testing.TB, what string, holds func() bool) {
	tb.Helper()
	late := time.After(patience)
	for tick := time.Tick(20 * time.Millisecond); !holds(); {
		select {
		case <-tick:
		case <-late:
			tb.Fatalf("not in %v: %s", patience, what)
		}
	}
}
