package emulator

import (
	"math"

	"github.com/zetagrid/zetagrid/cuda/emulator/ptx"
)

// setRun is setp of one predicate, by the quickest way there is.
func setRun(name string, t ptx.Type) func(w *warp, in *instruction, active uint32) {
	switch {
	case t == ptx.B32 || t == ptx.U32 || t == ptx.B64 || (name == "eq" || name == "ne") && !t.Float():
		t = ptx.U64 // what registers hold has no bits above the type's
	}
	test := wideTests[name+"."+t.String()]
	if test == nil {
		return runSet
	}
	return func(w *warp, in *instruction, active uint32) {
		if w.kinds[in.a]&w.kinds[in.b]&flat != 0 {
			w.setFlag(in.d, -bit(in.test(w.r[in.a][0], w.r[in.b][0])), active)
			return
		}
		w.setFlag(in.d, test(w.read(in.a), w.read(in.b)), active)
	}
}

func bit(v bool) uint32 {
	if v {
		return 1
	}
	return 0
}

// wideTests are comparisons of a whole warp.
var wideTests = map[string]func(a, b *lanes) uint32{
	"lt.s32": func(a, b *lanes) (v uint32) {
		for i := range a {
			v |= bit(int32(a[i]) < int32(b[i])) << i
		}
		return v
	},
	"le.s32": func(a, b *lanes) (v uint32) {
		for i := range a {
			v |= bit(int32(a[i]) <= int32(b[i])) << i
		}
		return v
	},
	"gt.s32": func(a, b *lanes) (v uint32) {
		for i := range a {
			v |= bit(int32(a[i]) > int32(b[i])) << i
		}
		return v
	},
	"ge.s32": func(a, b *lanes) (v uint32) {
		for i := range a {
			v |= bit(int32(a[i]) >= int32(b[i])) << i
		}
		return v
	},
	"lt.s64": func(a, b *lanes) (v uint32) {
		for i := range a {
			v |= bit(int64(a[i]) < int64(b[i])) << i
		}
		return v
	},
	"le.s64": func(a, b *lanes) (v uint32) {
		for i := range a {
			v |= bit(int64(a[i]) <= int64(b[i])) << i
		}
		return v
	},
	"gt.s64": func(a, b *lanes) (v uint32) {
		for i := range a {
			v |= bit(int64(a[i]) > int64(b[i])) << i
		}
		return v
	},
	"ge.s64": func(a, b *lanes) (v uint32) {
		for i := range a {
			v |= bit(int64(a[i]) >= int64(b[i])) << i
		}
		return v
	},
	"lt.u64": func(a, b *lanes) (v uint32) {
		for i := range a {
			v |= bit(a[i] < b[i]) << i
		}
		return v
	},
	"le.u64": func(a, b *lanes) (v uint32) {
		for i := range a {
			v |= bit(a[i] <= b[i]) << i
		}
		return v
	},
	"gt.u64": func(a, b *lanes) (v uint32) {
		for i := range a {
			v |= bit(a[i] > b[i]) << i
		}
		return v
	},
	"ge.u64": func(a, b *lanes) (v uint32) {
		for i := range a {
			v |= bit(a[i] >= b[i]) << i
		}
		return v
	},
	"eq.u64": func(a, b *lanes) (v uint32) {
		for i := range a {
			v |= bit(a[i] == b[i]) << i
		}
		return v
	},
	"ne.u64": func(a, b *lanes) (v uint32) {
		for i := range a {
			v |= bit(a[i] != b[i]) << i
		}
		return v
	},
	"lt.f32": func(a, b *lanes) (v uint32) {
		for i := range a {
			v |= bit(math.Float32frombits(uint32(a[i])) < math.Float32frombits(uint32(b[i]))) << i
		}
		return v
	},
	"le.f32": func(a, b *lanes) (v uint32) {
		for i := range a {
			v |= bit(math.Float32frombits(uint32(a[i])) <= math.Float32frombits(uint32(b[i]))) << i
		}
		return v
	},
	"gt.f32": func(a, b *lanes) (v uint32) {
		for i := range a {
			v |= bit(math.Float32frombits(uint32(a[i])) > math.Float32frombits(uint32(b[i]))) << i
		}
		return v
	},
	"ge.f32": func(a, b *lanes) (v uint32) {
		for i := range a {
			v |= bit(math.Float32frombits(uint32(a[i])) >= math.Float32frombits(uint32(b[i]))) << i
		}
		return v
	},
	"eq.f32": func(a, b *lanes) (v uint32) {
		for i := range a {
			v |= bit(math.Float32frombits(uint32(a[i])) == math.Float32frombits(uint32(b[i]))) << i
		}
		return v
	},
	"neu.f32": func(a, b *lanes) (v uint32) {
		for i := range a {
			v |= bit(math.Float32frombits(uint32(a[i])) != math.Float32frombits(uint32(b[i]))) << i
		}
		return v
	},
}
