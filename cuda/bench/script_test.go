package bench

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// script runs cuda/bench.sh in a folder of its own, with programs that are scripts.
func script(t *testing.T, zetagrid, test string, args ...string) (out string, status int, folder string) {
	t.Helper()
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("no bash here")
	}
	text, err := os.ReadFile("../bench.sh")
	if err != nil {
		t.Fatal(err)
	}
	folder = t.TempDir()
	for name, text := range map[string]string{
		"cuda/bench.sh": string(text), ".cuda/bin/zetagrid": "#!/bin/sh\n" + zetagrid, ".cuda/bin/cuda.test": "#!/bin/sh\n" + test,
		".cuda/bin/kernels.test": "#!/bin/sh\n" + test, "cuda/kernels/kernels.go": "", "cuda/bench/processes.sh": test,
		"tools/compute-sanitizer": "#!/bin/sh\nshift 4\nexec \"$@\"", // less --tool and --error-exitcode
		"tools/nvidia-smi":        "#!/bin/sh\necho \"$@\"\n[ \"$3\" != -l ] || exec sleep 10",
	} {
		file := filepath.Join(folder, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(text), 0o755)); err != nil {
			t.Fatal(err)
		}
	}
	command := exec.CommandContext(t.Context(), bash, append([]string{"cuda/bench.sh"}, args...)...)
	command.Dir = folder
	command.Env = append(os.Environ(), "OUT=made", "PATH="+filepath.Join(folder, "tools")+":"+os.Getenv("PATH"))
	made, err := command.Output()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return string(made), command.ProcessState.ExitCode(), folder
}

// measuring is a zetagrid that measures one figure.
const measuring = `
[ "$1" = version ] && echo "zetagrid test" && exit
while [ $# -gt 0 ]; do
	case "$1" in --output) to="$2" ;; --only) part="$2" ;; esac
	shift
done
mkdir -p "$to"
echo "{\"part\":\"$part\"}" >"$to/figures.json"
echo "the table of $part" >"$to/table.md"
`

// TestScript: the parts' tables and figures end up in one, and what fails decides
// the exit status.
func TestScript(t *testing.T) {
	if testing.Short() {
		t.Skip("short")
	}
	for _, c := range []struct {
		name, zetagrid, test string
		args                 []string
		status               int
		table                []string // in it
		figures              []string // parts of it
	}{
		{"everything", measuring, `echo "$ZETAGRID_CUDA"`, nil, 0,
			[]string{"zetagrid test", "driver_version", "| checks: golden digests | passed | ", "| checks: stage | passed | ", "| loss: stages | passed | ",
				"| loss: a device opened again | passed | ", "| loss: processes | passed | ", "| sanitizer: stage, racecheck | passed | ", "| decode | done | ", "## model", "the table of rack"},
			[]string{"decode", "prefill", "rack", "model"}},
		{"two parts", measuring, "exit 1", []string{"prefill", "decode"}, 0,
			[]string{"| prefill | done | ", "the table of decode"}, []string{"decode", "prefill"}},
		{"a check fails", measuring, "exit 1", []string{"checks", "decode"}, 1,
			[]string{"| checks: kernels | failed: see checks.log | ", "| decode | done | "}, []string{"decode"}},
		{"the device fails", `[ "$1" = version ] || { echo 'zetagrid: "lost" | gone'; exit 1; }`, "exit 0", []string{"checks", "decode"}, 1,
			[]string{"| checks: stage | passed | ", "| decode | failed: zetagrid:  lost    gone | "}, nil},
		{"out of time", measuring, "exec sleep 60", []string{"--limit", "3", "checks", "decode"}, 0,
			[]string{"| checks: kernels | not measured: out of time | ", "| checks: stage | not measured: out of time | ", "| decode | not measured: out of time | "}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			out, status, folder := script(t, c.zetagrid, c.test, c.args...)
			if status != c.status {
				t.Errorf("exit status %d, want %d", status, c.status)
			}
			table, err := os.ReadFile(filepath.Join(folder, "made/table.md"))
			if err != nil || string(table) != out {
				t.Errorf("%v, printed\n%s\nwrote\n%s", err, out, table)
			}
			for _, want := range c.table {
				if !strings.Contains(out, want) {
					t.Errorf("no %q in\n%s", want, out)
				}
			}
			text, err := os.ReadFile(filepath.Join(folder, "made/figures.json"))
			if err != nil {
				t.Fatal(err)
			}
			var figures struct {
				Parts   map[string]struct{ Status string }
				Figures map[string]struct{ Part string }
			}
			if err := json.Unmarshal(text, &figures); err != nil {
				t.Fatalf("%v in %s", err, text)
			}
			if left, err := os.ReadDir(filepath.Join(folder, "made")); err != nil || len(left) != 4 {
				t.Errorf("%v, %v where a table, figures, a log and clocks should be", err, left)
			}
			if len(figures.Figures) != len(c.figures) {
				t.Errorf("figures of %v, want %v", figures.Figures, c.figures)
			}
			for _, part := range c.figures {
				if figures.Figures[part].Part != part || figures.Parts[part].Status != "done" {
					t.Errorf("figures of %s: %s", part, text)
				}
			}
		})
	}
}

// TestScriptKilled: what was found before the script is killed is there, and what a
// part has found so far.
func TestScriptKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("short")
	}
	// In the second part the script, whose child is the parent's parent, is killed.
	killing := measuring + `[ "$part" = decode ] || kill -9 "$(cut -d " " -f 4 /proc/$PPID/stat)"`
	_, status, folder := script(t, killing, "exit 0", "checks", "decode", "prefill", "rack")
	if status != -1 {
		t.Errorf("exit status %d, want to be killed", status)
	}
	for _, c := range []struct{ file, want string }{
		{"table.md", "| checks: stage | passed | "}, {"table.md", "the table of decode"},
		{"figures.json", `"decode":{"part":"decode"}`}, {"parts/prefill/table.md", "the table of prefill"},
	} {
		text, err := os.ReadFile(filepath.Join(folder, "made", c.file))
		if err != nil || !strings.Contains(string(text), c.want) {
			t.Errorf("%v, no %q in %s:\n%s", err, c.want, c.file, text)
		}
	}
}

// TestScriptStopped: a script that is asked to stop says what it was at.
func TestScriptStopped(t *testing.T) {
	if testing.Short() {
		t.Skip("short")
	}
	stopping := measuring + `[ "$part" = decode ] || { kill "$(cut -d " " -f 4 /proc/$PPID/stat)"; exec sleep 60; }`
	_, status, folder := script(t, stopping, "exit 0", "decode", "prefill", "rack")
	if status != 1 {
		t.Errorf("exit status %d, want 1", status)
	}
	text, err := os.ReadFile(filepath.Join(folder, "made/table.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"| decode | done | ", "| prefill | not measured: stopped | ", "the table of prefill"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}

func TestScriptUsage(t *testing.T) {
	for args, want := range map[string]int{"--help": 0, "nothing": 2, "--limit": 2, "--limit x": 2, "--device -1": 2} {
		if out, status, _ := script(t, "exit 1", "exit 1", strings.Fields(args)...); status != want {
			t.Errorf("%s: exit status %d, want %d: %s", args, status, want, out)
		}
	}
}
