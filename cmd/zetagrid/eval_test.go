package main

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// alike compares fields of two JSON documents, to the byte:
//
//	alike here.json there.json model suite.digest
func alike(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: alike FILE FILE FIELD…")
	}
	one, other := []byte(ts.ReadFile(args[0])), []byte(ts.ReadFile(args[1]))
	for _, name := range args[2:] {
		a, b := field(ts, one, name), field(ts, other, name)
		if len(a) == 0 || !bytes.Equal(a, b) {
			ts.Fatalf("%s differs:\n%s\n%s", name, a, b)
		}
	}
}

// field is the text of a field, whose path is joined with dots.
func field(ts *testscript.TestScript, text []byte, path string) []byte {
	for name := range strings.SplitSeq(path, ".") {
		var object map[string]json.RawMessage
		ts.Check(json.Unmarshal(text, &object))
		text = object[name]
	}
	return text
}
