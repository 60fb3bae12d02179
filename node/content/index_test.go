package content

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"

	"github.com/ipfs/go-cid"
)

func TestIndexRoundTrip(t *testing.T) {
	for _, size := range []int64{0, 1, leafBytes, leafBytes + 1, 400 * leafBytes} {
		l := oneLeaf(rawCID(t, nil), size)
		if size > leafBytes {
			root, inner := tree(t, size)
			var err error
			l, err = readLayout(t.Context(), root, size, memory(inner...))
			check(t, err)
		}
		at := stamp{Size: size, ModTime: 5, Inode: 7}
		data, err := encodeIndex(&file{layout: l, stamp: at})
		check(t, err)
		gotAt, got, err := decodeIndex(data, l.root)
		check(t, err)
		if gotAt != at || got.size != size || len(got.leaves) != len(l.leaves) || len(got.inner) != len(l.inner) {
			t.Errorf("%d bytes: read back as %+v and %d leaves", size, gotAt, len(got.leaves))
		}
	}
}

// The index of a file of 256 GiB is within the limit; a quarter more is not.
func TestIndexBytes(t *testing.T) {
	if testing.Short() {
		t.Skip("names 320,000 leaves")
	}
	for size, fits := range map[int64]bool{256 << 30: true, 320 << 30: false} {
		_, inner := tree(t, size)
		kept := index{Stamp: stamp{Size: size}}
		for _, block := range inner {
			kept.Inner = append(kept.Inner, block.RawData())
		}
		data, err := json.Marshal(kept)
		check(t, err)
		if (len(data) <= indexBytes) != fits {
			t.Errorf("the index of %d GiB takes %d bytes, limit %d", size>>30, len(data), indexBytes)
		}
	}
}

func TestIndexRefuses(t *testing.T) {
	root, inner := tree(t, 2*leafBytes)
	other, _ := tree(t, 3*leafBytes)
	good, err := encodeIndex(&file{
		layout: layout{root: root, inner: inner}, stamp: stamp{Size: 2 * leafBytes},
	})
	check(t, err)
	if _, _, err := decodeIndex(good, root); err != nil {
		t.Fatal(err)
	}
	replaced := func(old, new string) []byte {
		out := bytes.Replace(good, []byte(old), []byte(new), 1)
		if bytes.Equal(out, good) {
			t.Fatalf("no %q in %s", old, good)
		}
		return out
	}
	twice, err := encodeIndex(&file{
		layout: layout{root: root, inner: append(inner, inner...)}, stamp: stamp{Size: 2 * leafBytes},
	})
	check(t, err)
	leaf := rawCID(t, nil)
	for name, c := range map[string]struct {
		data []byte
		root cid.Cid
	}{
		"nothing":            {nil, root},
		"no JSON":            {[]byte("{"), root},
		"more after its end": {append(bytes.Clone(good), '{'), root},
		"an unknown field":   {replaced(`"inner"`, `"outer":1,"inner"`), root},
		"a stamp of more":    {replaced(`2097152`, `2097153`), root},
		"a flipped bit":      {replaced(`"inner":["E`, `"inner":["F`), root},
		"no nodes":           {[]byte(`{"stamp":{"size":2097152}}`), root},
		"a node too many":    {twice, root},
		"another file's":     {good, other},
		"nodes of a leaf":    {good, leaf},
		"a leaf too long":    {[]byte(`{"stamp":{"size":1048577}}`), leaf},
		"a size below 0":     {[]byte(`{"stamp":{"size":-1}}`), leaf},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := decodeIndex(c.data, c.root)
			wantError(t, err, errIndex)
		})
	}
}

func FuzzIndex(f *testing.F) {
	root, inner := tree(f, 400*leafBytes)
	l, err := readLayout(f.Context(), root, 400*leafBytes, memory(inner...))
	check(f, err)
	data, err := encodeIndex(&file{layout: l, stamp: stamp{Size: l.size, ModTime: 1, Inode: 2}})
	check(f, err)
	leaf := rawCID(f, nil)
	f.Add(data, false)
	f.Add([]byte(`{"stamp":{"size":5,"mtime_ns":1,"inode":2},"inner":null}`), true)
	f.Fuzz(func(t *testing.T, data []byte, ofLeaf bool) {
		of := root
		if ofLeaf {
			of = leaf
		}
		at, got, err := decodeIndex(data, of)
		if err != nil {
			if !errors.Is(err, errIndex) {
				t.Fatalf("an error without a name: %v", err)
			}
			return
		}
		// Whatever was read, it says what the CID says.
		if ofLeaf && (got.size < 0 || got.size > leafBytes) || !ofLeaf && got.size != l.size || at.Size != got.size {
			t.Fatalf("read as %d bytes", got.size)
		}
	})
}
