package ptx_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/zetagrid/zetagrid/cuda/emulator/ptx"
)

const head = ".version 7.1\n.target sm_80\n.address_size 64\n"

func entry(body string) string { return head + ".entry k()\n{\n" + body + "\n}\n" }

// TestOperands: every form of an operand.
func TestOperands(t *testing.T) {
	m, err := ptx.Parse([]byte(head + `
.extern .shared .align 16 .b8 open[];
.const .align 4 .b8 table[4] = {1, 0x2, 03};
.global .u32 counter = 0x01020304;
.visible .entry k(.param .u64 .ptr .global .align 4 a, .param .align 8 .b8 b[24]) .maxntid 256, 1, 1 .minnctapersm 2
{
	.reg .pred %p<3>; .reg .b32 %r<4>, x;
	.reg .b64 %rd<2>;
	.loc 1 2 3, function_name $x, inlined_at 1 2 3
	.pragma "nounroll";
	/* over
	   lines */ @!%p1 add.s32 %r1, %r2, -5; // rest
	mov.u32 %r1, %tid.x;
	ld.shared.v2.u32 {%r1, _}, [open+8];
	ld.param.u64 %rd1, [b+-8];
	ld.global.f32 %r2, [%rd1-0x10];
	ld.global.u32 %r2, [16];
	mov.u64 %rd1, table+4;
	setp.eq.and.f32 %p1|%p2, %r1, 0f3F800000, !%p0;
	{ .reg .b32 %r1; mov.b32 %r1, x; }
	add.f64 %rd1, %rd1, 0d3FF0000000000000;
	add.f32 x, x, 1.5;
	add.f32 x, x, -1.5e-1;
targets: .branchtargets L, M;
	brx.idx x, targets;
L:	bra.uni M;
M:	ret;
}`))
	if err != nil {
		t.Fatal(err)
	}
	f := m.Functions[0]
	if len(m.Variables) != 3 || m.Variables[0].Size != 0 || string(m.Variables[1].Init) != "\x01\x02\x03" || string(m.Variables[2].Init) != "\x04\x03\x02\x01" {
		t.Errorf("variables %+v %+v %+v", m.Variables[0], m.Variables[1], m.Variables[2])
	}
	if m.Version != "7.1" || m.Target != "sm_80" || !f.Entry || !f.Body || len(f.Params) != 2 || f.Params[1].Size != 24 || f.Params[1].Align != 8 {
		t.Errorf("%+v", f)
	}
	c := f.Code
	if len(c) != 15 || len(f.Registers) != 3+4+1+2+1 {
		t.Fatalf("%d instructions, %d registers", len(c), len(f.Registers))
	}
	if c[0].Guard != 1 || !c[0].GuardNot || c[0].Line != 15 || int64(c[0].Operands[2].Value) != -5 {
		t.Errorf("%+v", c[0])
	}
	if o := c[1].Operands[1]; o.Kind != ptx.Special || o.Name != "tid.x" {
		t.Errorf("%+v", o)
	}
	if o := c[2].Operands; o[0].Kind != ptx.Vector || o[0].List[1].Kind != ptx.None || o[1].List[0].Variable != m.Variables[0] || o[1].Offset != 8 {
		t.Errorf("%+v", o)
	}
	if a, b, d := c[3].Operands[1], c[4].Operands[1], c[5].Operands[1]; a.Offset != -8 || b.Offset != -16 || d.Offset != 16 || len(d.List) != 0 {
		t.Errorf("%+v %+v %+v", a, b, d)
	}
	if o := c[6].Operands[1]; o.Kind != ptx.Symbol || o.Offset != 4 {
		t.Errorf("%+v", o)
	}
	if o := c[7].Operands; o[0].Kind != ptx.Pair || o[2].Kind != ptx.Float32 || o[2].Value != 0x3f800000 || !o[3].Not {
		t.Errorf("%+v", o)
	}
	if inner := c[8].Operands[0].Register; f.Registers[inner].Name != "%r1" || inner == c[0].Operands[0].Register {
		t.Errorf("register %d of the inner braces", inner)
	}
	if a, b, d := c[9].Operands[2], c[10].Operands[2], c[11].Operands[2]; a.Kind != ptx.Float64 || b.Value != 0x3fc00000 || d.Value != 0xbe19999a {
		t.Errorf("%+v %+v %+v", a, b, d)
	}
	if o := c[12].Operands[1]; o.Kind != ptx.Targets || len(o.Table) != 2 || o.Table[0] != 13 || o.Table[1] != 14 {
		t.Errorf("%+v", o)
	}
	if o := c[13].Operands[0]; o.Kind != ptx.Target || o.Value != 14 {
		t.Errorf("%+v", o)
	}
}

// TestFunctions: declarations, definitions and calls.
func TestFunctions(t *testing.T) {
	m, err := ptx.Parse([]byte(head + `
.func (.param .b32 out) twice(.param .b32 in);
.entry k() { .param .b32 a; .param .b32 r; call.uni (r), twice, (a); ret; }
.func (.param .b32 out) twice(.param .b32 in) { ret; }`))
	if err != nil {
		t.Fatal(err)
	}
	o := m.Functions[1].Code[0].Operands
	if len(m.Functions) != 2 || !m.Functions[0].Body || o[0].Kind != ptx.List || o[1].Kind != ptx.Callee || o[1].Name != "twice" || o[2].List[0].Variable.Name != "a" {
		t.Errorf("%+v", o)
	}
}

// TestErrors: what is no PTX, and the line it is in.
func TestErrors(t *testing.T) {
	for text, want := range map[string]string{
		"hello":                                          `line 1: "hello" begins no declaration`,
		".version":                                       "line 1: \"\" where a version",
		".address_size 32":                               "addresses of 32 bits",
		".target 5":                                      "where a target",
		"/* no end":                                      "line 1: comment without an end",
		".entry k()\n{\n":                                "line 3: function k has no end",
		".entry k(.reg .b32 x) {}":                       "where a parameter was expected",
		".global .b8;":                                   "where a name",
		".global x;":                                     "a variable without a type",
		".global .pred x;":                               "no type of a variable",
		".global .align 3 .b8 x;":                        "an alignment of 3",
		".global .b8 x[2] = {1,2,3};":                    "more numbers than x has room for",
		".global .b8 x[2000000];":                        "not a number up to",
		".global .b64 x[200000];":                        "more than 1048576 bytes",
		".global .b8 x; .global .b8 x;":                  "declared twice",
		entry(".reg .b32 %r<2>; .reg .b32 %r1;"):         "line 6: register %r1 is declared twice",
		entry(".reg .b32 %r<200000>;"):                   "not a number up to",
		entry(".reg .foo x;"):                            "no type of a register",
		entry("add.s32 x, y, 1;"):                        "line 6: no register, variable, label or function x",
		entry("@x ret;"):                                 "x is no predicate",
		entry(".reg .b32 x; add.s32 x, !x, 1;"):          "no predicate to negate",
		entry("L: L: ret;"):                              "label L is set twice",
		entry("bra M;"):                                  "or function M",
		entry("t: .branchtargets A; bra t;"):             "no label A",
		entry(".reg .b32 x; add.s32 x, x 1;"):            `"1" where "," was expected`,
		entry(".reg .b32 x; mov.b32 x, 0x;"):             "is not a number",
		entry(".reg .b32 x; mov.b32 x, 1_0;"):            "is not a number",
		entry(".reg .b32 x; mov.b32 x, [0f00000000];"):   "neither a register nor a variable",
		entry(".reg .b32 x; ld.b32 x, [x+0f00000000];"):  "an offset that is no integer",
		entry("add" + strings.Repeat("{", 30)):           "nested deeper",
		entry(strings.Repeat("{", 30)):                   "nested deeper",
		entry("foo " + strings.Repeat("1,", 300) + "1;"): "more than 256 operands",
		".entry k() {} .entry k() {}":                    "defined twice",
		`.entry k() { .pragma "x`:                        "quoted text without an end",
		strings.Repeat(" ", ptx.MaxText+1):               "bytes, more than",
		entry(strings.Repeat(".reg .b32 %a<100000>;", 1) + ".reg .b32 %b<100000>;"): "more than 131072 registers",
	} {
		_, err := ptx.Parse([]byte(text))
		var syntax *ptx.SyntaxError
		if !errors.As(err, &syntax) || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60q: %v, want %q", text, err, want)
		}
	}
}

// FuzzParse: no text makes Parse panic, and what it returns is resolved.
func FuzzParse(f *testing.F) {
	files, err := filepath.Glob("../../kernels/ptx/*.ptx")
	if err != nil || len(files) == 0 {
		f.Fatal(err, files)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := ptx.Parse(text)
		if err != nil {
			var syntax *ptx.SyntaxError
			if !errors.As(err, &syntax) {
				t.Fatalf("%v", err)
			}
			return
		}
		for _, fn := range m.Functions {
			for _, in := range fn.Code {
				for _, op := range in.Operands {
					checkOperand(t, fn, op)
				}
			}
		}
	})
}

func checkOperand(t *testing.T, fn *ptx.Function, op ptx.Operand) {
	for _, o := range op.List {
		checkOperand(t, fn, o)
	}
	switch {
	case op.Kind == ptx.Reg && op.Register >= len(fn.Registers):
		t.Fatalf("register %d of %d", op.Register, len(fn.Registers))
	case op.Kind == ptx.Symbol && op.Variable == nil:
		t.Fatal("a symbol of nothing")
	case op.Kind == ptx.Target && op.Value > uint64(len(fn.Code)):
		t.Fatalf("target %d of %d", op.Value, len(fn.Code))
	}
	for _, at := range op.Table {
		if at > len(fn.Code) {
			t.Fatalf("target %d of %d", at, len(fn.Code))
		}
	}
}
