package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/zetagrid/zetagrid/cuda/driver"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"zetagrid": func() { os.Exit(command(os.Args[1:])) },
	})
}

// TestScript runs testdata/script/*.txt: a comment that says what is tested,
// then commands, then files. Adding a case is adding a file.
func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "serve": serve, "quit": quit, "eventually": eventually,
			"readme": readme, "readme-has": readmeHas, "post": post, "alike": alike,
		},
		Condition: func(condition string) (bool, error) {
			if condition == "cuda" { // the program can use CUDA devices
				return driver.Built, nil
			}
			return false, fmt.Errorf("unknown condition %q", condition)
		},
		Setup: func(env *testscript.Env) error {
			env.Values[serversKey{}] = map[string]*server{}
			env.Setenv("ZETAGRID_DATA", filepath.Join(env.WorkDir, "data"))
			env.Setenv("ROOT", root(t))
			return nil
		},
	})
}

// exits runs a program that must end with the given exit status:
//
//	exits 2 zetagrid run --top-p 3
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits STATUS PROGRAM [ARGUMENT…]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("%v exits %d, want %d", args[1:], got, want)
	}
}

// server is a process that serve started.
type server struct {
	command *exec.Cmd
	stderr  *bytes.Buffer
	ended   bool
}

type serversKey struct{}

// serve starts a long-running command and waits for its line of JSON, whose
// strings become the variables NAME_peer, NAME_api, NAME_model and NAME_addr:
//
//	serve alice zetagrid up --json --api 127.0.0.1:0
func serve(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: serve NAME PROGRAM [ARGUMENT…]")
	}
	s := &server{stderr: new(bytes.Buffer)}
	path := filepath.SplitList(ts.Getenv("PATH"))[0] // where testscript puts its commands
	s.command = exec.Command(filepath.Join(path, args[1]), args[2:]...)
	s.command.Dir = ts.MkAbs(".")
	for _, name := range []string{"PATH", "HOME", "TMPDIR", "ZETAGRID_DATA", "ZETAGRID_TOKEN", "ZETAGRID_CPU"} {
		s.command.Env = append(s.command.Env, name+"="+ts.Getenv(name))
	}
	s.command.Stderr = s.stderr
	out, err := s.command.StdoutPipe()
	ts.Check(err)
	ts.Check(s.command.Start())
	ts.Value(serversKey{}).(map[string]*server)[args[0]] = s
	ts.Defer(func() { _ = s.end(os.Kill) })
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err != nil {
		_ = s.end(os.Kill) // what matters is why it ended
		ts.Fatalf("%s ended before it served: %v\n%s", args[0], err, s.stderr)
	}
	ts.Logf("[%s] %s", args[0], line)
	var ready struct {
		Peer, API, Model string
		Addrs            []string
		Blocks           []int
	}
	ts.Check(json.Unmarshal(line, &ready))
	if len(ready.Addrs) == 0 {
		ts.Fatalf("%s has no address", args[0])
	}
	for name, value := range map[string]string{
		"peer": ready.Peer, "api": ready.API, "model": ready.Model, "addr": ready.Addrs[0],
		"blocks": fmt.Sprint(ready.Blocks),
	} {
		ts.Setenv(args[0]+"_"+name, value)
	}
}

// quit ends a served process with SIGTERM; it must exit with status 0.
func quit(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: quit NAME")
	}
	s := ts.Value(serversKey{}).(map[string]*server)[args[0]]
	if s == nil {
		ts.Fatalf("no server %s", args[0])
	}
	if err := s.end(syscall.SIGTERM); err != nil {
		ts.Fatalf("%s: %v\n%s", args[0], err, s.stderr)
	}
}

// end signals the process, unless it has ended, and waits for it.
func (s *server) end(signal os.Signal) error {
	if s.ended {
		return nil
	}
	s.ended = true
	if err := s.command.Process.Signal(signal); err != nil {
		return err
	}
	return s.command.Wait()
}

// eventually runs a program again and again until its standard output matches,
// as a grid takes a moment to agree:
//
//	eventually '"covered":true' zetagrid grid status --json --api $api
func eventually(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: eventually PATTERN PROGRAM [ARGUMENT…]")
	}
	pattern := regexp.MustCompile(args[0])
	for end := time.Now().Add(patience); ; {
		err := ts.Exec(args[1], args[2:]...)
		if err == nil && pattern.MatchString(ts.ReadFile("stdout")) {
			return
		}
		if time.Now().After(end) {
			ts.Fatalf("%v does not print %q", args[1:], args[0])
		}
	}
}

// patience bounds the waiting for what must happen, also on a machine that others load.
const patience = 3 * time.Minute

// root is the root of the repository.
func root(t *testing.T) string {
	dir, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// readme checks that README.md has a line: what it shows is what runs here.
//
//	readme 'go run ./cmd/zetagrid demo'
func readme(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: readme LINE")
	}
	if !strings.Contains("\n"+readReadme(ts), "\n"+args[0]+"\n") {
		ts.Fatalf("README.md has no line %q", args[0])
	}
}

// readmeHas checks that README.md holds all of a file, so that what it shows is
// what was printed.
func readmeHas(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: readme-has FILE")
	}
	if text := ts.ReadFile(args[0]); !strings.Contains(readReadme(ts), text) {
		ts.Fatalf("README.md does not show\n%s", text)
	}
}

func readReadme(ts *testscript.TestScript) string {
	text, err := os.ReadFile(filepath.Join(ts.Getenv("ROOT"), "README.md"))
	ts.Check(err)
	return string(text)
}

// post sends JSON that README.md shows, and prints the answer:
//
//	post $api/v1/completions '{"prompt": "x"}'
func post(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: post URL JSON")
	}
	if !strings.Contains(readReadme(ts), "'"+args[1]+"'") {
		ts.Fatalf("README.md does not post %s", args[1])
	}
	answer, err := http.Post(args[0], "application/json", strings.NewReader(args[1]))
	ts.Check(err)
	defer answer.Body.Close() //nolint:errcheck // read to its end
	_, err = io.Copy(ts.Stdout(), answer.Body)
	ts.Check(err)
	if answer.StatusCode != http.StatusOK {
		ts.Fatalf("%s: %s", args[0], answer.Status)
	}
}

// TestReadmeCommandLines parses every line of README.md and CONTRIBUTING.md
// that begins with our program: a flag that does not exist does not
// stay in a document.
func TestReadmeCommandLines(t *testing.T) {
	count := 0
	for _, name := range []string{"README.md", "CONTRIBUTING.md"} {
		text, err := os.ReadFile(filepath.Join(root(t), name))
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			line, ours := commandLine(line)
			if !ours {
				continue
			}
			count++
			var c cli
			parser, err := newParser(t.Context(), &c, &streams{in: os.Stdin, out: io.Discard, err: io.Discard})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := parser.Parse(strings.Fields(line)); err != nil {
				t.Errorf("%s: zetagrid %s: %v", name, line, err)
			}
		}
	}
	if count < 10 {
		t.Errorf("found %d command lines, want at least 10", count)
	}
}

// commandLine is the arguments of a document's line that runs our program.
func commandLine(line string) (arguments string, ours bool) {
	line, _, _ = strings.Cut(strings.TrimSpace(line), " # ")
	line = strings.ReplaceAll(line, `"Once upon a time"`, "prompt")
	for _, start := range []string{"go run ./cmd/zetagrid ", "./zetagrid "} {
		if rest, found := strings.CutPrefix(line, start); found {
			return rest, true
		}
	}
	return "", false
}

func Example() {
	// Model output need not be UTF-8. As text, a character is written once it
	// is whole, and what is none becomes U+FFFD.
	text := textWriter(os.Stdout)
	for _, b := range []byte("caf\xc3\xa9 \xff!\n") {
		if _, err := text.Write([]byte{b}); err != nil {
			fmt.Println(err)
		}
	}
	fmt.Println(text.Close())
	// Output:
	// café �!
	// <nil>
}
