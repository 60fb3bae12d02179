package kernels

import "bytes"

// entries are the names of a PTX text's kernels.
func entries(text []byte) []string {
	const mark = ".entry "
	var names []string
	for line := range bytes.Lines(text) {
		if i := bytes.Index(line, []byte(mark)); i >= 0 {
			name, _, _ := bytes.Cut(line[i+len(mark):], []byte("("))
			names = append(names, string(bytes.TrimSpace(name)))
		}
	}
	return names
}
