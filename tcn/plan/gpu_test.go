package plan_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/zetagrid/zetagrid/tcn/plan"
)

func entry(name string, memory, bandwidth, int8 float64) string {
	return fmt.Sprintf(`{"name":%q,"memory_gb":%g,"bandwidth_gbs":%g,"int8_tops":%g}`, name, memory, bandwidth, int8)
}

func TestDefaultTable(t *testing.T) {
	for _, g := range plan.DefaultTable().Kinds() {
		same, err := plan.DefaultTable().GPU(g.Name)
		if err != nil || same != g {
			t.Errorf("%+v, %v, want %+v", same, err, g)
		}
		// The number in a name is its memory.
		if !strings.HasSuffix(g.Name, fmt.Sprint("-", g.Memory/1e9)) {
			t.Errorf("%s has %d bytes", g.Name, g.Memory)
		}
	}
}

func TestExtend(t *testing.T) {
	table, err := plan.DefaultTable().Extend([]byte("[" + entry("mine", 4, 50, 1) + "," + entry("h100-80", 79.5, 3000, 1900) + "]"))
	if err != nil {
		t.Fatal(err)
	}
	if g, err := table.GPU("mine"); err != nil || g != (plan.GPU{Name: "mine", Memory: 4e9, Bandwidth: 50e9, Int8: 1e12}) {
		t.Errorf("%+v, %v", g, err)
	}
	if g, err := table.GPU("h100-80"); err != nil || g.Memory != 79.5e9 {
		t.Errorf("%+v, %v", g, err)
	}
	if g := gpu(t, "h100-80"); g.Memory != 80e9 {
		t.Errorf("the default table became %+v", g)
	}
}

func TestExtendLimits(t *testing.T) {
	long := strings.Repeat("n", plan.NameBytes)
	many := func(n int) string {
		var list []string
		for i := range n {
			list = append(list, entry(fmt.Sprint("g", i), 1, 1, 1))
		}
		return "[" + strings.Join(list, ",") + "]"
	}
	pad := func(n int) string {
		text := "[" + entry("g", 1, 1, 1) + "]"
		return text + strings.Repeat(" ", n-len(text))
	}
	for name, c := range map[string]struct {
		text string
		ok   bool
	}{
		"longest name":    {"[" + entry(long, 1, 1, 1) + "]", true},
		"longer name":     {"[" + entry(long+"n", 1, 1, 1) + "]", false},
		"most kinds":      {many(plan.MaxKinds - len(plan.DefaultTable().Kinds())), true},
		"more kinds":      {many(plan.MaxKinds - len(plan.DefaultTable().Kinds()) + 1), false},
		"most bytes":      {pad(plan.TableBytes), true},
		"more bytes":      {pad(plan.TableBytes + 1), false},
		"empty list":      {"[]", false},
		"nothing":         {"", false},
		"null":            {"null", false},
		"an object":       {entry("g", 1, 1, 1), false},
		"text after":      {"[" + entry("g", 1, 1, 1) + "] x", false},
		"twice":           {"[" + entry("g", 1, 1, 1) + "," + entry("g", 1, 1, 1) + "]", false},
		"unknown member":  {`[{"name":"g","memory_gb":1,"bandwidth_gbs":1,"int8_tops":1,"price":1}]`, false},
		"absent memory":   {`[{"name":"g","bandwidth_gbs":1,"int8_tops":1}]`, false},
		"absent rate":     {`[{"name":"g","memory_gb":1,"bandwidth_gbs":1}]`, false},
		"no name":         {"[" + entry("", 1, 1, 1) + "]", false},
		"markup":          {"[" + entry("<b>", 1, 1, 1) + "]", false},
		"like a count":    {"[" + entry("4xg", 1, 1, 1) + "]", false},
		"negative memory": {"[" + entry("g", -1, 1, 1) + "]", false},
		"huge memory":     {"[" + entry("g", 1e300, 1, 1) + "]", false},
		"tiny memory":     {"[" + entry("g", 1e-9, 1, 1) + "]", false},
		"huge bandwidth":  {"[" + entry("g", 1, 1e300, 1) + "]", false},
		"zero int8":       {"[" + entry("g", 1, 1, 0) + "]", false},
	} {
		if _, err := plan.DefaultTable().Extend([]byte(c.text)); c.ok && err != nil || !c.ok && !errors.Is(err, plan.ErrTable) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestUnknownGPU(t *testing.T) {
	for name, want := range map[string]string{
		"h100": "h100-80", "H100-80": "h100-80", "4090": "rtx4090-24", "rtx3090": "rtx3090-24", "mi300": "mi300x-192", "a100": "a100-",
	} {
		_, err := plan.DefaultTable().GPU(name)
		if !errors.Is(err, plan.ErrGPU) || !strings.Contains(err.Error(), "did you mean "+want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestParseRack(t *testing.T) {
	for text, want := range map[string]string{
		"h100-80": "h100-80", "2xh100-80": "h100-80 h100-80", "1xt4-16, 2xl4-24": "t4-16 l4-24 l4-24",
	} {
		var names []string
		for _, g := range racked(t, text) {
			names = append(names, g.Name)
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("%s is %s, want %s", text, got, want)
		}
	}
	if got := len(racked(t, fmt.Sprint(plan.MaxGPUs, "xh100-80"))); got != plan.MaxGPUs {
		t.Errorf("%d GPUs", got)
	}
	for text, want := range map[string]error{
		"": plan.ErrGPU, "0xh100-80": plan.ErrArgument, "9h100-80": plan.ErrArgument, "h100-80,": plan.ErrGPU,
		"-1xh100-80": plan.ErrGPU, "99999999999999999999xh100-80": plan.ErrArgument, "2xh1": plan.ErrGPU,
		fmt.Sprint(plan.MaxGPUs, "xh100-80,h100-80"): plan.ErrArgument,
	} {
		if _, err := plan.DefaultTable().ParseRack(text); !errors.Is(err, want) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func FuzzExtend(f *testing.F) {
	f.Fuzz(func(t *testing.T, text []byte) {
		table, err := plan.DefaultTable().Extend(text)
		if err != nil {
			if !errors.Is(err, plan.ErrTable) {
				t.Fatal(err)
			}
			return
		}
		for _, g := range table.Kinds() {
			if rack, err := table.ParseRack("2x" + g.Name); err != nil || len(rack) != 2 || rack[1] != g {
				t.Fatalf("%+v: %v, %v", g, rack, err)
			}
		}
	})
}

func FuzzParseRack(f *testing.F) {
	f.Fuzz(func(t *testing.T, text string) {
		rack, err := plan.DefaultTable().ParseRack(text)
		if err != nil && !errors.Is(err, plan.ErrArgument) && !errors.Is(err, plan.ErrGPU) {
			t.Fatal(err)
		}
		if err == nil && (len(rack) < 1 || len(rack) > plan.MaxGPUs) {
			t.Fatalf("%d GPUs", len(rack))
		}
	})
}
