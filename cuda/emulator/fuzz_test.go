package emulator_test

import (
	"errors"
	"regexp"
	"testing"
	"time"

	"github.com/zetagrid/zetagrid/cuda/device"
	"github.com/zetagrid/zetagrid/cuda/emulator"
)

var entryName = regexp.MustCompile(`\.entry\s+([\w$%]+)`)

// FuzzRun: no text makes the device panic or run without an end, neither when it
// is loaded nor when its kernels run.
func FuzzRun(f *testing.F) {
	for _, text := range []string{double, addOne, body(checkedHead + "bar.sync 0; shfl.sync.bfly.b32 %r4, %r1, 1, 31, -1; st.shared.v2.u32 [%r2], {%r4, %r4};")} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		d := emulator.New(emulator.Options{Memory: 1 << 20, Budget: 10000, Strict: true})
		m, err := d.Load(text)
		if err != nil {
			var failure *device.Error
			if !errors.As(err, &failure) {
				t.Fatalf("%v", err)
			}
			return
		}
		s, err := d.NewStream()
		if err != nil {
			t.Fatal(err)
		}
		at, err := d.Allocate(1024)
		if err != nil {
			return // the text has taken it all
		}
		for i, name := range entryName.FindAllSubmatch(text, 4) {
			k, err := m.Function(string(name[1]))
			if err != nil {
				continue
			}
			args := words(uint64(at), uint64(at))[:min(16, 8*(i+1))]
			for _, a := range [][]byte{args, words(uint64(at), uint64(at)), nil} {
				if s.Launch(k, device.Launch{Grid: [3]int{2, 1, 1}, Block: [3]int{40, 1, 1}, Args: a}) == nil {
					break
				}
			}
			if err := s.Wait(time.Minute); err != nil && !device.Fatal(err) {
				t.Fatalf("%v", err)
			}
		}
	})
}
