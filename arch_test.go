package zetagrid_test

import (
	"go/ast"
	"go/token"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// module is the import path that every package of this repository starts with.
const module = "github.com/zetagrid/zetagrid/"

// law is one row of the import table: what a package may import of this module,
// what it must never import at all, and why.
type law struct {
	pkg     string
	may     []string // packages of this module
	never   []string // import path prefixes outside this module
	because string
}

// Sets of outside imports that several rows refuse.
var (
	libp2p  = []string{"github.com/libp2p", "github.com/ipfs/boxo", "github.com/quic-go"}
	sockets = []string{"net", "net/http", "crypto/tls"}
	clocks  = []string{"time"}
	chance  = []string{"math/rand", "math/rand/v2", "crypto/rand"}
	files   = []string{"os", "io/fs", "path/filepath", "syscall"}
	cgo     = []string{"C"}
)

// importTable says which way imports run:
// kernel → quant → tcn → {modelfile, train, cuda, souls, session} → node → cmd,
// and shardmap → {session, p2p}. It holds direct imports of files that are not
// tests. A package without a row fails the test, so a new package argues its
// place here.
var importTable = []law{
	{"tcn/kernel", nil,
		slices.Concat(libp2p, sockets, clocks, chance, files, cgo),
		"arithmetic on slices; who runs it says which set"},
	{"tcn/quant", []string{"tcn/kernel"},
		slices.Concat(libp2p, sockets, clocks, chance, files, cgo),
		"the form of quantized matrices; who chose the codes is elsewhere"},
	{"tcn", []string{"tcn/kernel", "tcn/quant"},
		slices.Concat(libp2p, sockets, clocks, chance, files, cgo),
		"one answer: nothing but its arguments may change a bit"},
	{"tcn/backendtest", []string{"tcn", "tcn/kernel", "tcn/quant"},
		slices.Concat(libp2p, sockets, clocks, files, cgo),
		"what every backend must pass; a backend's tests import it"},
	{"tcn/rack", []string{"tcn"},
		slices.Concat(libp2p, sockets, clocks, chance, files, cgo),
		"several devices as one backend; has goroutines, so it is not part of tcn"},
	{"tcn/bench", []string{"tcn", "tcn/kernel", "tcn/quant"},
		slices.Concat(libp2p, sockets, chance, files, cgo),
		"measures the arithmetic; the only one below cmd that looks at a clock"},
	{"tcn/eval", []string{"tcn", "tcn/kernel"},
		slices.Concat(libp2p, sockets, clocks, chance, files, cgo),
		"figures of a model: nothing but the model and the text may change one"},
	{"tcn/modelfile/element", nil,
		slices.Concat(libp2p, sockets, clocks, chance, files, cgo),
		"numbers of every type to float32; all readers share it"},
	{"tcn/modelfile/internal/jsonobject", nil,
		slices.Concat(libp2p, sockets, clocks, chance, files, cgo),
		"JSON objects without doubled names; a stranger's header"},
	{"tcn/modelfile/npy", []string{"tcn/modelfile/element"},
		slices.Concat(libp2p, sockets, clocks, chance, files, cgo),
		"parses what it is handed; opens nothing"},
	{"tcn/modelfile/pt", []string{"tcn/modelfile/element"},
		slices.Concat(libp2p, sockets, clocks, chance, []string{"os", "syscall", "os/exec", "plugin", "reflect"}, cgo),
		"pickle as data: nothing it reads can open, run or look up anything"},
	{"tcn/modelfile/safetensors", []string{"tcn/modelfile/element", "tcn/modelfile/internal/jsonobject"},
		slices.Concat(libp2p, sockets, clocks, chance, cgo),
		"maps the files it is handed"},
	{"tcn/modelfile", []string{"tcn", "tcn/quant", "tcn/modelfile/element", "tcn/modelfile/internal/jsonobject", "tcn/modelfile/safetensors"},
		slices.Concat([]string{"github.com/libp2p", "github.com/quic-go"}, sockets, clocks, chance, cgo),
		"files to weights; a node imports it, so it reaches no pickle"},
	{"tcn/quantize/rounding", []string{"tcn/kernel"},
		slices.Concat(libp2p, sockets, clocks, chance, files, cgo),
		"which codes stand for a matrix: arithmetic on slices"},
	{"tcn/quantize", []string{"tcn", "tcn/kernel", "tcn/quant", "tcn/eval", "tcn/modelfile", "tcn/quantize/rounding"},
		slices.Concat(libp2p, sockets, clocks, chance, cgo),
		"a model folder to a model folder; the inputs alone decide what is made"},
	{"tcn/modelfile/standard", []string{"tcn/modelfile"},
		slices.Concat(libp2p, sockets, clocks, chance, cgo),
		"a model folder inside the program; unpacks it and nothing else"},
	{"tcn/modelfile/importer", []string{"tcn", "tcn/modelfile", "tcn/modelfile/element", "tcn/modelfile/npy", "tcn/modelfile/pt", "tcn/modelfile/safetensors"},
		slices.Concat(libp2p, sockets, clocks, chance, cgo),
		"the only reader of npy and pickle; for the command line, never for a node"},
	{"tcn/plan", []string{"tcn", "tcn/modelfile"},
		slices.Concat(libp2p, sockets, clocks, chance, files, cgo),
		"what hardware holds which model: numbers in, numbers and pictures out"},
	{"tcn/train/vector", nil,
		slices.Concat(libp2p, sockets, clocks, chance, files, cgo),
		"fast arithmetic on slices; it need not be exact, so nothing exact imports it"},
	{"tcn/train", []string{"tcn", "tcn/eval", "tcn/kernel", "tcn/quant", "tcn/modelfile", "tcn/modelfile/element", "tcn/modelfile/safetensors", "tcn/train/vector"},
		slices.Concat(libp2p, sockets, clocks, chance, cgo),
		"makes models; time is the command line's, chance is hashed from a seed"},
	{"shardmap", nil,
		slices.Concat(libp2p, sockets, clocks, chance, files, cgo),
		"a pure state machine: time and chance come in as events"},
	{"node/wire", nil,
		slices.Concat(libp2p, sockets, clocks, chance, files, cgo),
		"the bytes of a frame, nothing about how they travel"},
	{"node/session", []string{"tcn", "node/wire"},
		slices.Concat(libp2p, sockets, chance, files, cgo),
		"a pure state machine; time only as durations handed in"},
	{"node/internal/atomicfile", nil,
		slices.Concat(libp2p, sockets, clocks, chance, cgo),
		"replaces small files whole or not at all"},
	{"node/content", []string{"tcn/modelfile", "node/internal/atomicfile"},
		cgo,
		"tiles and manifests by CID, from disk or peers"},
	{"node/p2p", []string{"shardmap", "node/internal/atomicfile"},
		cgo,
		"moves frames and claims; knows no session and no weights"},
	{"node/api", []string{"tcn", "tcn/modelfile", "node/session"},
		slices.Concat(libp2p, cgo),
		"asks its Grid interface; importing node would be a cycle"},
	{"cuda/device", nil,
		slices.Concat(libp2p, sockets, chance, files, cgo),
		"what the GPU stage asks of a device; real and emulated ones answer"},
	{"cuda/kernels", []string{"cuda/device"},
		slices.Concat(libp2p, sockets, clocks, chance, []string{"os", "path/filepath", "syscall"}, cgo),
		"the kernels and how they are launched; knows no model"},
	{"cuda/driver", []string{"cuda/device"},
		slices.Concat(libp2p, sockets, chance, files),
		"the devices of this machine; the only package with C, behind the tag cuda"},
	{"cuda", []string{"tcn", "tcn/kernel", "cuda/device", "cuda/kernels"},
		slices.Concat(libp2p, sockets, chance, files, cgo),
		"the GPU stage over whatever device it is handed; time only as limits of waiting"},
	{"cuda/bench", []string{"cuda", "cuda/device", "cuda/kernels", "tcn", "tcn/bench", "tcn/kernel", "tcn/plan", "tcn/quant"},
		slices.Concat(libp2p, sockets, chance, files, cgo),
		"measures the GPU stage on any device; a clock, no files"},
	{"cuda/emulator/ptx", nil,
		slices.Concat(libp2p, sockets, clocks, chance, files, cgo),
		"reads kernels' text; knows no device"},
	{"cuda/emulator", []string{"cuda/device", "cuda/emulator/ptx"},
		slices.Concat(libp2p, sockets, chance, files, cgo),
		"a device on the processor; knows neither kernels nor a model"},
	{"node", []string{"tcn", "tcn/kernel", "tcn/modelfile", "shardmap", "node/wire", "node/session", "node/content", "node/p2p", "node/api"},
		cgo,
		"the daemon wires all parts and owns their lifetimes"},
	{"bootstrap", []string{"node/p2p"},
		cgo,
		"a DHT peer and relay that owns nothing"},
	{"cmd/zetagrid", []string{"tcn", "tcn/bench", "tcn/eval", "tcn/kernel", "tcn/modelfile", "tcn/modelfile/importer", "tcn/modelfile/standard", "tcn/plan", "tcn/quantize", "tcn/rack", "tcn/train", "tcn/train/vector", "node", "node/session", "node/api", "node/content", "node/p2p", "bootstrap", "cuda", "cuda/bench", "cuda/device", "cuda/driver", "cuda/emulator"},
		cgo,
		"flags to config; nothing imports it"},
	{"", nil, nil, "the root holds the tests of the house"},
}

// goroutineFree are the packages without a go statement: whoever calls them
// decides what runs beside what.
var goroutineFree = []string{"cuda", "tcn", "tcn/eval", "tcn/quantize", "tcn/quantize/rounding", "shardmap", "node/wire", "node/session"}

// TestImportTable holds every package's direct imports against the table.
func TestImportTable(t *testing.T) {
	rows := map[string]law{}
	for _, row := range importTable {
		rows[row.pkg] = row
	}
	for dir, files := range goPackages(t) {
		row, ok := rows[dir]
		if !ok {
			t.Errorf("package %q has no row in importTable: say what it may import and why", dir)
			continue
		}
		for _, f := range files {
			if f.test {
				continue
			}
			for _, spec := range f.syntax.Imports {
				p, err := strconv.Unquote(spec.Path.Value)
				if err != nil {
					t.Fatal(err)
				}
				checkImport(t, f.path, row, p)
			}
		}
	}
}

func checkImport(t *testing.T, file string, row law, imported string) {
	t.Helper()
	if own, ok := strings.CutPrefix(imported, module); ok {
		if !slices.Contains(row.may, own) {
			t.Errorf("%s imports %s, which its row does not allow: %s", file, own, row.because)
		}
		return
	}
	for _, never := range row.never {
		if imported == never || strings.HasPrefix(imported, never+"/") && strings.Contains(never, ".") {
			t.Errorf("%s imports %s: %s", file, imported, row.because)
		}
	}
}

// TestImportTableHasNoCycle checks the table itself: it must order the packages.
func TestImportTableHasNoCycle(t *testing.T) {
	may := map[string][]string{}
	for _, row := range importTable {
		if _, twice := may[row.pkg]; twice {
			t.Errorf("two rows for %q", row.pkg)
		}
		may[row.pkg] = row.may
	}
	state := map[string]int{} // 0 new, 1 being visited, 2 done
	var visit func(pkg string)
	visit = func(pkg string) {
		switch state[pkg] {
		case 1:
			t.Fatalf("importTable has a cycle through %q", pkg)
		case 2:
			return
		}
		state[pkg] = 1
		for _, next := range may[pkg] {
			visit(next)
		}
		state[pkg] = 2
	}
	for _, pkg := range slices.Sorted(maps.Keys(may)) {
		visit(pkg)
	}
}

// TestPurePackagesStartNoGoroutine: in a pure package the caller decides what
// runs at the same time.
func TestPurePackagesStartNoGoroutine(t *testing.T) {
	packages := goPackages(t)
	for _, dir := range goroutineFree {
		for _, f := range packages[dir] {
			if f.test {
				continue
			}
			ast.Inspect(f.syntax, func(n ast.Node) bool {
				if g, ok := n.(*ast.GoStmt); ok {
					t.Errorf("%s:%d: starts a goroutine", f.path, f.set.Position(g.Pos()).Line)
				}
				return true
			})
		}
	}
}

// TestPackageDocs: a package is explained once, in one place.
func TestPackageDocs(t *testing.T) {
	for dir, files := range goPackages(t) {
		var documented []string
		code := 0
		for _, f := range files {
			if f.test {
				continue
			}
			code++
			if f.syntax.Doc != nil {
				documented = append(documented, path.Base(f.path))
			}
		}
		if dir != "" && code > 0 && len(documented) != 1 {
			t.Errorf("package %q has %d package comments, want 1 (in %v)", dir, len(documented), documented)
		}
	}
}

// TestEveryPackageHasAnExample: an example is the shortest documentation that
// cannot rot. Only those with an Output comment run.
func TestEveryPackageHasAnExample(t *testing.T) {
	for dir, files := range goPackages(t) {
		code, examples := 0, 0
		for _, f := range files {
			if !f.test {
				code++
				continue
			}
			for _, decl := range f.syntax.Decls {
				fn, ok := decl.(*ast.FuncDecl)
				if ok && fn.Recv == nil && strings.HasPrefix(fn.Name.Name, "Example") && hasOutput(f.syntax, fn) {
					examples++
				}
			}
		}
		if dir != "" && code > 0 && examples == 0 {
			t.Errorf("package %q has no Example with an Output comment", dir)
		}
	}
}

// hasOutput reports whether a comment inside fn says what it prints.
func hasOutput(file *ast.File, fn *ast.FuncDecl) bool {
	for _, group := range file.Comments {
		if group.Pos() < fn.Pos() || group.End() > fn.End() {
			continue
		}
		text := strings.ToLower(strings.TrimSpace(group.Text()))
		if strings.HasPrefix(text, "output:") || strings.HasPrefix(text, "unordered output:") {
			return true
		}
	}
	return false
}

// functionLines is how long a function may be: a screen.
const functionLines = 70

// longFunctions are the functions allowed to be longer, with the reason.
var longFunctions = map[string]string{}

// TestFunctionsFitAScreen: what does not fit a screen is not read.
func TestFunctionsFitAScreen(t *testing.T) {
	seen := map[string]bool{}
	for dir, files := range goPackages(t) {
		for _, f := range files {
			if f.test || f.generated {
				continue
			}
			for _, decl := range f.syntax.Decls {
				fn, ok := decl.(*ast.FuncDecl)
				if !ok {
					continue
				}
				name := dir + "." + fn.Name.Name
				lines := lineOf(f.set, fn.End()) - lineOf(f.set, fn.Pos()) + 1
				_, excused := longFunctions[name]
				seen[name] = seen[name] || excused && lines > functionLines
				if lines > functionLines && !excused {
					t.Errorf("%s: %s has %d lines, more than %d", f.path, fn.Name.Name, lines, functionLines)
				}
			}
		}
	}
	for name := range longFunctions {
		if !seen[name] {
			t.Errorf("longFunctions excuses %s, which needs no excuse", name)
		}
	}
}

func lineOf(set *token.FileSet, pos token.Pos) int { return set.Position(pos).Line }
