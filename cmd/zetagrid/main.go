// Command zetagrid joins a peer-to-peer inference grid, or asks one.
//
// It turns flags into the configuration of the packages and prints what they
// answer; what is computed, stored or sent is decided elsewhere.
//
// # Laws
//
//  1. Exit status 0 is done, 1 is failed, 2 is a wrong command line.
//  2. A failure is one line on standard error: "zetagrid: what: what to do".
//  3. Standard output holds the answer only. Progress and notes go to standard
//     error; progress bars only when that is a terminal.
//  4. With --json, standard output is JSON of the schema in docs/json.md.
//  5. The first SIGINT or SIGTERM shuts down cleanly, the second at once.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
	"golang.org/x/term"

	"github.com/zetagrid/zetagrid/node/p2p"
	"github.com/zetagrid/zetagrid/tcn/plan"
	"github.com/zetagrid/zetagrid/tcn/train"
)

// Exit statuses.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

// sameSignal is how soon after the first a signal is taken for the first again.
const sameSignal = 500 * time.Millisecond

func main() { os.Exit(command(os.Args[1:])) }

// command runs one command line against the process's own streams and returns
// the exit status.
func command(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// Give the signals their default action back soon after the first: the second
	// then ends the process whatever it is doing. Not at once, for a terminal or
	// timeout(1) may send the same signal to the process and to its group.
	context.AfterFunc(ctx, func() { time.AfterFunc(sameSignal, stop) })

	var line cli
	out := &output{file: os.Stdout}
	s := &streams{in: os.Stdin, out: out, err: os.Stderr}
	parser, err := newParser(ctx, &line, s)
	if err != nil {
		panic(err) // the tags in cli.go are wrong
	}
	parsed, err := parser.Parse(spelled(args))
	if err != nil {
		return s.fail(asUsage(err), "zetagrid")
	}
	if err = parsed.Run(); err == nil {
		err = out.err // of a table, say, which cannot return it
	}
	return s.fail(err, parsed.Selected().FullPath())
}

// spelled is args with two habits of other programs spelled our way: help
// [COMMAND] and --version.
func spelled(args []string) []string {
	switch {
	case len(args) > 0 && args[0] == "help":
		return append(slices.Clone(args[1:]), "--help")
	case len(args) == 1 && args[0] == "--version":
		return []string{"version"}
	}
	return args
}

// newParser is the parser of the command line; commands are run with ctx and s.
func newParser(ctx context.Context, line *cli, s *streams) (*kong.Kong, error) {
	return kong.New(line,
		kong.Name("zetagrid"),
		kong.Description("Run RTH-LM, a language model over bytes, on many machines at once. The same model, Soul (adapter), prompt, sampling and seed give the same bytes, however the machines share the work. Begin with: zetagrid demo"),
		kong.Writers(s.out, s.err),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(s),
	)
}

// streams is where a command reads and writes.
type streams struct {
	in  io.Reader
	out io.Writer
	err io.Writer
}

// output is standard output; it keeps the first error, so that none goes unseen.
type output struct {
	file *os.File
	err  error
}

func (o *output) Write(b []byte) (int, error) {
	n, err := o.file.Write(b)
	if o.err == nil {
		o.err = err
	}
	return n, err
}

// Fd is the file's, for isTerminal.
func (o *output) Fd() uintptr { return o.file.Fd() }

// isTerminal reports whether a stream is a terminal with a person at it.
func isTerminal(stream any) bool {
	f, ok := stream.(interface{ Fd() uintptr })
	return ok && term.IsTerminal(int(f.Fd()))
}

// note tells the user something that is not the answer.
func (s *streams) note(format string, args ...any) {
	_, _ = fmt.Fprintf(s.err, "zetagrid: "+format+"\n", args...) // nowhere to report it
}

// wrongOptions are the errors of a wrong command line: status 2.
var wrongOptions = []error{
	errUsage, p2p.ErrOptions, plan.ErrArgument, plan.ErrGPU, train.ErrOptions,
}

// fail reports the error of a command, if any, and returns the exit status.
func (s *streams) fail(err error, command string) int {
	if err == nil {
		return exitDone
	}
	// Joined errors come one to a line; a failure is one line.
	s.note("%s", strings.ReplaceAll(withRemedy(err, command).Error(), "\n", "; "))
	if slices.ContainsFunc(wrongOptions, func(wrong error) bool { return errors.Is(err, wrong) }) {
		return exitUsage
	}
	return exitFailed
}
