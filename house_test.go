package zetagrid_test

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

// goFile is one parsed Go file of the repository.
type goFile struct {
	path      string // from the root, with slashes
	test      bool
	generated bool
	lines     int
	set       *token.FileSet
	syntax    *ast.File
}

var parseOnce = sync.OnceValues(parseAll)

// goPackages parses every Go file of the repository, whatever its build tags,
// by folder; "" is the root. Reading the files with os, not asking the go
// command, lets the test cache see when one changes.
func goPackages(t *testing.T) map[string][]goFile {
	t.Helper()
	packages, err := parseOnce()
	if err != nil {
		t.Fatal(err)
	}
	return packages
}

func parseAll() (map[string][]goFile, error) {
	packages := map[string][]goFile{}
	return packages, walkFiles(func(name string) error {
		if path.Ext(name) != ".go" || otherModule(name) {
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		set := token.NewFileSet()
		syntax, err := parser.ParseFile(set, name, text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		if ignored(syntax) {
			return nil
		}
		dir := path.Dir(name)
		if dir == "." {
			dir = ""
		}
		packages[dir] = append(packages[dir], goFile{
			path: name, test: strings.HasSuffix(name, "_test.go"), generated: ast.IsGenerated(syntax),
			lines: bytes.Count(text, []byte("\n")), set: set, syntax: syntax,
		})
		return nil
	})
}

// otherModule reports whether a file belongs to a module of its own, such as a
// generator, whose dependencies are not the product's.
func otherModule(name string) bool {
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		if _, err := os.Stat(path.Join(dir, "go.mod")); err == nil {
			return true
		}
	}
	return false
}

// ignored reports a "//go:build ignore" file: a program run by go generate,
// which belongs to no package.
func ignored(syntax *ast.File) bool {
	for _, group := range syntax.Comments {
		for _, c := range group.List {
			if c.Text == "//go:build ignore" {
				return true
			}
		}
	}
	return false
}

// walkFiles calls visit with the slash-separated path of every file of the
// repository outside hidden folders (.ci is not one of them) and testdata.
func walkFiles(visit func(name string) error) error {
	return walkAll(func(name string) error {
		if slices.Contains(strings.Split(name, "/"), "testdata") {
			return nil
		}
		return visit(name)
	})
}

// walkAll is walkFiles with testdata.
func walkAll(visit func(name string) error) error {
	return filepath.WalkDir(".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := entry.Name()
		if entry.IsDir() {
			if name != "." && base != ".ci" && (strings.HasPrefix(base, ".") || base == "dist" || base == "shared") {
				return fs.SkipDir
			}
			return nil
		}
		if !entry.Type().IsRegular() {
			return nil
		}
		return visit(filepath.ToSlash(name))
	})
}

// fileLines is how long a Go file may be.
const fileLines = 500

// longFiles are the files allowed to be longer, with the reason.
var longFiles = map[string]string{}

// TestFilesAreShort: generated files excepted, a file is one sitting's reading.
func TestFilesAreShort(t *testing.T) {
	for _, files := range goPackages(t) {
		for _, f := range files {
			_, excused := longFiles[f.path]
			if f.lines > fileLines && !f.generated && !excused {
				t.Errorf("%s has %d lines, more than %d", f.path, f.lines, fileLines)
			}
			if f.lines <= fileLines && excused {
				t.Errorf("longFiles excuses %s, which needs no excuse", f.path)
			}
		}
	}
}

// textFile reports whether name is something a person reads.
func textFile(name string) bool {
	switch path.Ext(name) {
	case ".go", ".md", ".s", ".sh", ".txt", ".yaml", ".yml", ".json", ".mod", "":
		return path.Base(name) != "LICENSE"
	}
	return false
}

// unwanted are patterns that no file may hold. They are put together from parts
// so that this file does not hold them either. A file is searched for a pattern
// only if it holds one of the hints, in lower case: searching all for all takes
// long.
var unwanted = []struct {
	hints   []string
	pattern *regexp.Regexp
	because string
}{
	{[]string{"to" + "do", "fix" + "me", "x" + "xx"},
		regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|X` + `XX)\b`), "do it, or write down why not"},
	{[]string{"/wo" + "rk/", "/ro" + "ot/", "/ho" + "me/"},
		regexp.MustCompile(`(^|[\s"'=(` + "`" + `])/(wo` + `rk|ro` + `ot|ho` + `me/\w+)/`), "the path of one machine"},
	{[]string{"/tmp/br" + "ief"},
		regexp.MustCompile(`/tmp/br` + `ief`), "the path of one machine"},
	{[]string{"xy.gol" + "ang.org", "sum.gol" + "ang.org", "py" + "pi.org", "npm" + "js", "hugging" + "face.co", "ghcr." + "io", "docker." + "io/"},
		regexp.MustCompile(`(?i)\b(pro` + `xy|s` + `um)\.golang\.org|py` + `pi\.org|registry\.n` + `pmjs|hugging` + `face\.co|ghcr\.` + `io|docker\.` + `io/`), "names a registry; the tools know where they fetch from"},
	{[]string{"is" + "sue"},
		regexp.MustCompile(`(?i)\bis` + `sues? #?\d`), "say the thing, not where it was discussed"},
}

// TestUnwantedStrings: neither notes to self nor traces of one machine.
func TestUnwantedStrings(t *testing.T) {
	err := walkFiles(func(name string) error {
		if !textFile(name) {
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		lower := bytes.ToLower(text)
		for _, u := range unwanted {
			hinted := slices.ContainsFunc(u.hints, func(hint string) bool { return bytes.Contains(lower, []byte(hint)) })
			if !hinted {
				continue
			}
			for i, line := range bytes.Split(text, []byte("\n")) {
				if found := u.pattern.Find(line); found != nil {
					t.Errorf("%s:%d: %q: %s", name, i+1, found, u.because)
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestFuzzTargetsHaveACorpus: a fuzz target runs its committed corpus in every
// test run, so what was once found stays found.
func TestFuzzTargetsHaveACorpus(t *testing.T) {
	for dir, files := range goPackages(t) {
		for _, f := range files {
			for _, decl := range f.syntax.Decls {
				fn, ok := decl.(*ast.FuncDecl)
				if !ok || !f.test || fn.Recv != nil || !strings.HasPrefix(fn.Name.Name, "Fuzz") {
					continue
				}
				corpus := path.Join(dir, "testdata/fuzz", fn.Name.Name)
				if entries, err := os.ReadDir(corpus); err != nil || len(entries) == 0 {
					t.Errorf("%s: %s has no committed corpus in %s", f.path, fn.Name.Name, corpus)
				}
			}
		}
	}
}

// fileBytes is how large a file of the repository may be: golden files fit, a
// program built by accident does not.
const fileBytes = 4 << 20

// TestNoLargeFiles: what is large is made, not kept.
func TestNoLargeFiles(t *testing.T) {
	ignored := []string{"zetagrid", "cmd/zetagrid/zetagrid"} // see .gitignore
	err := walkAll(func(name string) error {
		info, err := os.Stat(name)
		if err == nil && info.Size() > fileBytes && !slices.Contains(ignored, name) && path.Ext(name) != ".test" {
			t.Errorf("%s has %d bytes, more than %d", name, info.Size(), fileBytes)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// link matches the target of an inline Markdown link.
var link = regexp.MustCompile(`\]\(([^)\s]+)\)`)

// TestMarkdownLinks: every relative link names a file that exists, and every
// fragment a heading in it.
func TestMarkdownLinks(t *testing.T) {
	err := walkFiles(func(name string) error {
		if path.Ext(name) != ".md" {
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			checkLink(t, name, m[1])
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func checkLink(t *testing.T, from, target string) {
	t.Helper()
	if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
		return
	}
	file, fragment, _ := strings.Cut(target, "#")
	to := from
	if file != "" {
		to = path.Join(path.Dir(from), file)
	}
	info, err := os.Stat(to)
	if err != nil {
		t.Errorf("%s links to %s, which does not exist", from, target)
		return
	}
	if fragment == "" || info.IsDir() || path.Ext(to) != ".md" {
		return
	}
	text, err := os.ReadFile(to)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if title := strings.TrimLeft(line, "#"); title != line && anchor(title) == fragment {
			return
		}
	}
	t.Errorf("%s links to %s: no such heading", from, target)
}

// anchor is the fragment that a Markdown heading gets.
func anchor(title string) string {
	kept := strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-' || r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r > 127:
			return r
		}
		return -1
	}, strings.ToLower(strings.TrimSpace(title)))
	return kept
}
