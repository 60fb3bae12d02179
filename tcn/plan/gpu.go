package plan

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// GPU is a kind of device, as its maker's data sheet has it.
type GPU struct {
	Name      string  `json:"name"`            // lower case, digits, "-" and "."
	Memory    int64   `json:"memory_bytes"`    // gigabytes are 10⁹ bytes
	Bandwidth float64 `json:"bandwidth_bytes"` // of its memory, bytes a second
	Int8      float64 `json:"int8_ops"`        // dense, multiplications and additions a second
}

// Bounds of what a table may say of a GPU: from a small board's to a hundred
// times the largest there is.
const (
	minMemory, maxMemory       = 100_000_000, 20_000_000_000_000
	minBandwidth, maxBandwidth = 1e8, 1e15
	minInt8, maxInt8           = 1e8, 1e18
)

func (g GPU) validate() error {
	if g.Name == "" || len(g.Name) > NameBytes || strings.Trim(g.Name, "abcdefghijklmnopqrstuvwxyz0123456789-.") != "" {
		return fmt.Errorf("%w: name %q: 1 to %d lower-case letters, digits, dashes and dots", ErrTable, g.Name, NameBytes)
	}
	if g.Name[0] >= '0' && g.Name[0] <= '9' {
		return fmt.Errorf("%w: name %q begins with a digit, like a count", ErrTable, g.Name)
	}
	// The comparisons are false for what is not a number.
	if !(g.Memory >= minMemory && g.Memory <= maxMemory) {
		return fmt.Errorf("%w: %s: memory of %d bytes is not in %d…%d", ErrTable, g.Name, g.Memory, int64(minMemory), int64(maxMemory))
	}
	if !(g.Bandwidth >= minBandwidth && g.Bandwidth <= maxBandwidth) {
		return fmt.Errorf("%w: %s: bandwidth of %g bytes a second is not in %g…%g", ErrTable, g.Name, g.Bandwidth, minBandwidth, maxBandwidth)
	}
	if !(g.Int8 >= minInt8 && g.Int8 <= maxInt8) {
		return fmt.Errorf("%w: %s: int8 rate of %g a second is not in %g…%g", ErrTable, g.Name, g.Int8, minInt8, maxInt8)
	}
	return nil
}

// Table is kinds of GPU by name. Make one with [DefaultTable].
type Table struct{ kinds []GPU }

//go:embed gpus.json
var defaultTable []byte

// DefaultTable is the kinds that come with the program.
func DefaultTable() Table {
	t, err := Table{}.Extend(defaultTable)
	if err != nil {
		panic(err) // a test reads gpus.json
	}
	return t
}

// Kinds lists the table in its order.
func (t Table) Kinds() []GPU { return slices.Clone(t.kinds) }

// kindJSON is a kind as files write it.
type kindJSON struct {
	Name      string  `json:"name"`
	Memory    float64 `json:"memory_gb"`
	Bandwidth float64 `json:"bandwidth_gbs"`
	Int8      float64 `json:"int8_tops"`
}

// Extend is t with the kinds of a JSON text added; one with a name that t has
// replaces it. The text is a list of objects with the four members of gpus.json.
// Errors: [ErrTable].
func (t Table) Extend(text []byte) (Table, error) {
	if len(text) > TableBytes {
		return Table{}, fmt.Errorf("%w: %d bytes, limit %d", ErrTable, len(text), TableBytes)
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	var list []kindJSON
	if err := decoder.Decode(&list); err != nil {
		return Table{}, fmt.Errorf("%w: %w", ErrTable, err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return Table{}, fmt.Errorf("%w: text after the list", ErrTable)
	}
	if len(list) == 0 {
		return Table{}, fmt.Errorf("%w: it names no GPU", ErrTable)
	}
	out := Table{t.Kinds()}
	named := map[string]bool{}
	for _, k := range list {
		if !(k.Memory > 0 && k.Memory < 1e9) { // so that the bytes fit an integer
			return Table{}, fmt.Errorf("%w: %s: memory_gb %g", ErrTable, clip(k.Name), k.Memory)
		}
		g := GPU{k.Name, int64(k.Memory * 1e9), k.Bandwidth * 1e9, k.Int8 * 1e12}
		if err := g.validate(); err != nil {
			return Table{}, err
		}
		if named[g.Name] {
			return Table{}, fmt.Errorf("%w: %s is named twice", ErrTable, g.Name)
		}
		named[g.Name] = true
		out.put(g)
	}
	if len(out.kinds) > MaxKinds {
		return Table{}, fmt.Errorf("%w: %d kinds, limit %d", ErrTable, len(out.kinds), MaxKinds)
	}
	return out, nil
}

// clip shortens a name that an error quotes.
func clip(name string) string { return strconv.Quote(name[:min(len(name), NameBytes)]) }

func (t *Table) put(g GPU) {
	same := func(k GPU) bool { return k.Name == g.Name }
	if i := slices.IndexFunc(t.kinds, same); i >= 0 {
		t.kinds[i] = g
		return
	}
	t.kinds = append(t.kinds, g)
}

// GPU is the kind of a name. Errors: [ErrGPU], with the names most like it.
func (t Table) GPU(name string) (GPU, error) {
	for _, g := range t.kinds {
		if g.Name == name {
			return g, nil
		}
	}
	return GPU{}, fmt.Errorf("%w %s: did you mean %s?", ErrGPU, clip(name), strings.Join(t.like(name), ", "))
}

// like is the names of the table that take the fewest changes to become name.
func (t Table) like(name string) []string {
	name = strings.ToLower(name[:min(len(name), NameBytes)])
	kinds := t.Kinds()
	slices.SortStableFunc(kinds, func(a, b GPU) int { return distance(a.Name, name) - distance(b.Name, name) })
	var names []string
	for _, g := range kinds[:min(3, len(kinds))] {
		names = append(names, g.Name)
	}
	return names
}

// distance is how many letters are put in, left out or replaced between a and b;
// putting in counts least, so that "h100" is near "h100-80".
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = 3 * j
	}
	for i := range len(a) {
		before := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := before
			if a[i] != b[j] {
				change += 3
			}
			before = row[j+1]
			row[j+1] = min(change, row[j+1]+1, row[j]+3)
		}
	}
	return row[len(b)]
}

// ParseRack reads a rack such as "4xh100-80,2xrtx4090-24"; a kind alone is one.
// Errors: [ErrArgument], [ErrGPU].
func (t Table) ParseRack(text string) ([]GPU, error) {
	var rack []GPU
	for part := range strings.SplitSeq(text, ",") {
		part = strings.TrimSpace(part)
		n, name := 1, part
		if digits := strings.TrimLeft(part, "0123456789"); digits != part {
			count, kind, found := strings.Cut(part, "x")
			value, err := strconv.Atoi(count)
			if !found || err != nil || value < 1 {
				return nil, fmt.Errorf("%w: %s is no count and kind of GPU such as 9xh100-80", ErrArgument, clip(part))
			}
			n, name = value, kind
		}
		gpu, err := t.GPU(name)
		if err != nil {
			return nil, err
		}
		if n > MaxGPUs-len(rack) {
			return nil, fmt.Errorf("%w: more than %d GPUs", ErrArgument, MaxGPUs)
		}
		rack = append(rack, slices.Repeat([]GPU{gpu}, n)...)
	}
	return rack, nil
}
