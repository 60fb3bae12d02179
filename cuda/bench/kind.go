package bench

import (
	"math"
	"strings"

	"github.com/zetagrid/zetagrid/cuda/device"
	"github.com/zetagrid/zetagrid/tcn/plan"
)

// memoryWithin is how far a device's memory may be from that of its data sheet,
// which counts in round gigabytes, as a part of it.
const memoryWithin = 0.15

// KindOf is the kind of GPU of a table that a device is: the one with its memory
// of whose name, but for the memory, the device's has the most. It reports false
// if there is none.
func KindOf(table plan.Table, info device.Info) (plan.GPU, bool) {
	squeezed := strings.ToLower(strings.NewReplacer(" ", "", "-", "").Replace(info.Name))
	var best plan.GPU
	found := 0
	for _, kind := range table.Kinds() {
		words := strings.Split(kind.Name, "-")
		length := 0
		for _, word := range words[:len(words)-1] {
			if !strings.Contains(squeezed, word) {
				length = math.MinInt
				break
			}
			length += len(word)
		}
		away := math.Abs(float64(info.Memory)/float64(kind.Memory) - 1)
		if length > found && away <= memoryWithin {
			best, found = kind, length
		}
	}
	return best, found > 0
}
