package driver

import (
	"regexp"
	"strconv"
)

// entry matches the head of a kernel whose one parameter is a struct.
var entry = regexp.MustCompile(`\.entry\s+([A-Za-z_$][\w$]*)\s*\(\s*\.param\s+(?:\.align\s+\d+\s+)?\.b8\s+[\w$]+\[(\d+)\]\s*\)`)

// parameterBytes is the size of the parameter of each kernel of a PTX text that has
// one parameter, a struct. The driver reads that many bytes, whatever it is handed.
func parameterBytes(ptx []byte) map[string]int {
	sizes := map[string]int{}
	for _, m := range entry.FindAllSubmatch(ptx, -1) {
		if size, err := strconv.Atoi(string(m[2])); err == nil {
			sizes[string(m[1])] = size
		}
	}
	return sizes
}
