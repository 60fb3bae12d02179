package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
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
		Cmds:                map[string]func(*testscript.TestScript, bool, []string){"exits": exits},
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
