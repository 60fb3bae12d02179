package content

import (
	"os"
	"testing"
)

const benchBytes = 64 << 20

// BenchmarkFetch fetches a file of 64 MiB over loopback QUIC, to disk.
func BenchmarkFetch(b *testing.B) {
	giver, giverHost := online(b)
	_, dag, _ := give(b, giver, 1, benchBytes)
	b.SetBytes(benchBytes)
	for range b.N {
		b.StopTimer()
		taker, h := online(b)
		connect(b, h, giverHost)
		b.StartTimer()
		if _, err := taker.File(b.Context(), dag.Root, plenty, nil); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkOpen opens a store that holds a file of 64 MiB and asks for the file,
// with the index an earlier run left and without.
func BenchmarkOpen(b *testing.B) {
	data := randomBytes(1, benchBytes)
	_, dag := outside(b, data)
	dir := b.TempDir()
	first := openStore(b, dir)
	check(b, os.WriteFile(first.path(fileName(dag.Root)), data, 0o600))
	open := func(b *testing.B) {
		s, err := Open(dir, nil)
		check(b, err)
		_, err = s.File(b.Context(), dag.Root, plenty, nil)
		check(b, err)
		check(b, s.Close())
	}
	b.Run("hashing", func(b *testing.B) {
		for range b.N {
			b.StopTimer()
			check(b, os.RemoveAll(first.path(indexDir)))
			b.StartTimer()
			open(b)
		}
	})
	b.Run("index", func(b *testing.B) {
		open(b)
		for b.Loop() {
			open(b)
		}
	})
}
