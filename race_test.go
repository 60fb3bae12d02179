package zetagrid_test

import (
	"go/ast"
	"os"
	"slices"
	"strings"
	"testing"
)

// TestNotRaced: the race step of .ci/run leaves out what .ci/not-raced names, whole
// packages and, where others are raced, long tests. They start nothing, so the race
// detector has nothing to compare there: where two goroutines meet in their code,
// what is above has started them, and is raced.
func TestNotRaced(t *testing.T) {
	text, err := os.ReadFile(".ci/not-raced")
	if err != nil {
		t.Fatal(err)
	}
	left := map[string]string{} // packages by themselves, tests with their packages
	for line := range strings.Lines(string(text)) {
		dir, test, _ := strings.Cut(strings.TrimSpace(line), " ")
		if test == "" {
			left[dir] = ""
		} else {
			left[test] = dir
		}
	}
	found := map[string]bool{}
	for dir, files := range goPackages(t) {
		_, all := left[dir]
		found[dir] = all
		for _, f := range files {
			for _, decl := range f.syntax.Decls {
				name := ""
				if fn, ok := decl.(*ast.FuncDecl); ok {
					name = fn.Name.Name
				}
				of, one := left[name]
				if one && of != dir && !all {
					t.Errorf("%s has a %s, too, which the race step would leave out: rename one", f.path, name)
				}
				if all || one {
					found[name] = found[name] || of == dir
					startsNothing(t, f, decl)
				}
			}
		}
	}
	for name := range left {
		if !found[name] {
			t.Errorf(".ci/not-raced names %s, which is not there", name)
		}
	}
}

// starters are the functions, of Go's libraries and of this module, that run what
// they are given beside their caller.
var starters = []string{"AfterFunc", "Go", "NewPool", "Parallel", "RunParallel"}

// startsNothing checks that a declaration has no go statement and calls no starter.
func startsNothing(t *testing.T, f goFile, decl ast.Decl) {
	ast.Inspect(decl, func(n ast.Node) bool {
		_, starts := n.(*ast.GoStmt)
		if call, ok := n.(*ast.CallExpr); ok {
			f, ok := call.Fun.(*ast.SelectorExpr)
			starts = ok && slices.Contains(starters, f.Sel.Name)
		}
		if starts {
			t.Errorf("%s:%d starts a goroutine: take it out of .ci/not-raced", f.path, lineOf(f.set, n.Pos()))
		}
		return true
	})
}
