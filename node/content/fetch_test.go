package content

import (
	"bytes"
	"context"
	"os"
	"runtime"
	"slices"
	"sync"
	"testing"

	blocks "github.com/ipfs/go-block-format"
	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"

	"github.com/zetagrid/zetagrid/tcn/modelfile"
)

// A store fetches files of every shape.
func TestFetch(t *testing.T) {
	giver, taker := pair(t)
	sizes := []int{0, 1, leafBytes - 1, leafBytes, leafBytes + 1, 2 * leafBytes, 5*leafBytes + 17}
	for i, size := range sizes {
		data, dag, _ := give(t, giver, uint64(size), size)
		var have, of int64 = -1, -1
		path, err := taker.File(t.Context(), dag.Root, int64(size), func(h, s int64) { have, of = h, s })
		if err != nil {
			t.Fatalf("%d bytes: %v", size, err)
		}
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, data) {
			t.Fatalf("%d bytes: the copy differs (%v)", size, err)
		}
		if have != int64(size) || of != int64(size) {
			t.Errorf("%d bytes: progress ended at %d of %d", size, have, of)
		}
		if !taker.Has(dag.Root) || path != taker.path(fileName(dag.Root)) {
			t.Errorf("%d bytes: at %s", size, path)
		}
		holds(t, taker, map[string]int{filesDir: i + 1, indexDir: i + 1, partialDir: 0})
	}
}

// Equal leaves are fetched once.
func TestFetchOfRepeatedLeaves(t *testing.T) {
	giver, taker := pair(t)
	data := append(bytes.Repeat(randomBytes(1, leafBytes), 5), 7)
	path, dag := outside(t, data)
	check(t, giver.addFile(t.Context(), dag.Root, path))
	take(t, taker, dag.Root, data)
	if n := sent(t, giver.exchange); n != 3 { // the root, the leaf, the last leaf
		t.Errorf("sent %d blocks, want 3", n)
	}
}

func TestManifest(t *testing.T) {
	giver, taker := pair(t)
	for _, size := range []int{1, modelfile.ManifestBytes, modelfile.ManifestBytes + 1} {
		data := randomBytes(uint64(size), size)
		c, err := modelfile.ManifestCID(data)
		check(t, err)
		giver.keepManifest(c, data)
		got, err := taker.Manifest(t.Context(), c)
		if size > modelfile.ManifestBytes {
			wantError(t, err, ErrTooLarge)
			holds(t, taker, map[string]int{manifestsDir: 2})
			continue
		}
		check(t, err)
		again, err := openStore(t, taker.root.Name()).Manifest(t.Context(), c)
		if err != nil || !bytes.Equal(got, data) || !bytes.Equal(again, data) {
			t.Errorf("%d bytes: other bytes, or not kept: %v", size, err)
		}
	}
}

// What is fetched past manifestsHeld is used, and not kept.
func TestManifestsHeld(t *testing.T) {
	giver, taker := pair(t)
	data := randomBytes(1, 1000)
	c, err := modelfile.ManifestCID(data)
	check(t, err)
	giver.keepManifest(c, data)
	taker.held = manifestsHeld - 999
	got, err := taker.Manifest(t.Context(), c)
	if err != nil || !bytes.Equal(got, data) {
		t.Fatal(err)
	}
	holds(t, taker, map[string]int{manifestsDir: 0})
	taker.held = manifestsHeld - 1000
	_, err = taker.Manifest(t.Context(), c)
	check(t, err)
	holds(t, taker, map[string]int{manifestsDir: 1})
}

// A peer that sends bytes that do not hash is not believed; an honest one is
// asked, whether it was there from the start or comes after the lies.
func TestLyingProvider(t *testing.T) {
	data := randomBytes(4, 3*leafBytes)
	path, dag := outside(t, data)
	lies := slices.Clone(dag.Inner)
	for i, c := range dag.Leaves {
		lies = append(lies, mustBlock(t, randomBytes(uint64(100+i), leafBytes), c))
	}
	for _, late := range []bool{false, true} {
		t.Run(map[bool]string{false: "both from the start", true: "honest comes later"}[late], func(t *testing.T) {
			taker, takerHost := online(t)
			giver, giverHost := online(t)
			check(t, giver.addFile(t.Context(), dag.Root, path))
			liarHost, liar := serveBlocks(t, lies...)
			connect(t, takerHost, liarHost)
			if !late {
				connect(t, takerHost, giverHost)
			}
			fetched := make(chan error, 1)
			go func() {
				_, err := taker.File(t.Context(), dag.Root, plenty, nil)
				fetched <- err
			}()
			if late {
				for sent(t, liar) < 2 { // the true root and a lie
					runtime.Gosched()
				}
				connect(t, takerHost, giverHost)
			}
			check(t, <-fetched)
			take(t, taker, dag.Root, data)
		})
	}
}

// A tree that hashes and is no tree of ours yields no file.
func TestHostileTree(t *testing.T) {
	leaf := blocks.NewBlock(randomBytes(1, 10))
	raw := cid.NewCidV1(cid.Raw, leaf.Cid().Hash())
	big, err := cid.NewPrefixV1(cid.Raw, multihash.SHA2_256).Sum(randomBytes(2, leafBytes+1))
	check(t, err)
	bigLeaf, err := blocks.NewBlockWithCid(randomBytes(2, leafBytes+1), big)
	check(t, err)
	short := node(t, 2*leafBytes, []uint64{leafBytes, leafBytes}, raw, raw)
	cases := map[string]struct {
		root   cid.Cid
		served []blocks.Block
		want   error
	}{
		"leaf over 1 MiB":              {big, []blocks.Block{bigLeaf}, ErrLayout},
		"leaf shorter than said":       {short.Cid(), []blocks.Block{short, mustBlock(t, leaf.RawData(), raw)}, ErrLayout},
		"size past what is allowed":    oneNode(t, 1<<41, []uint64{1 << 40, 1 << 40}, ErrTooLarge, raw, raw),
		"size past what a file can be": oneNode(t, 1<<63, []uint64{1 << 62, 1 << 62}, ErrLayout, raw, raw),
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			taker, h := online(t)
			peer, _ := serveBlocks(t, c.served...)
			connect(t, h, peer)
			_, err := taker.File(t.Context(), c.root, plenty, nil)
			wantError(t, err, c.want)
			holds(t, taker, map[string]int{filesDir: 0, indexDir: 0})
		})
	}
}

func TestOversizeIsRefusedBeforeWriting(t *testing.T) {
	giver, taker := pair(t)
	for _, size := range []int{10, leafBytes, 2 * leafBytes} {
		_, dag, _ := give(t, giver, 2, size)
		before := sent(t, giver.exchange)
		_, err := taker.File(t.Context(), dag.Root, int64(size)-1, nil)
		wantError(t, err, ErrTooLarge)
		if n := sent(t, giver.exchange) - before; n != 1 {
			t.Errorf("%d bytes: took %d blocks to refuse, want the root only", size, n)
		}
		holds(t, taker, map[string]int{filesDir: 0, indexDir: 0, partialDir: 0})
	}
	data, dag, _ := give(t, giver, 3, 2*leafBytes)
	take(t, taker, dag.Root, data) // as much as allowed
	_, err := taker.File(t.Context(), dag.Root, 2*leafBytes-1, nil)
	wantError(t, err, ErrTooLarge) // also when it is here
}

// What an earlier fetch left is kept where it is right, and replaced where not.
func TestResume(t *testing.T) {
	giver, taker := pair(t)
	data, dag, _ := give(t, giver, 7, 4*leafBytes)
	partial := slices.Concat(data[:3*leafBytes], randomBytes(8, 2*leafBytes)) // longer than the file
	partial[leafBytes]++
	check(t, os.WriteFile(taker.path(partialName(dag.Root)), partial, 0o600))
	take(t, taker, dag.Root, data)
	if n := sent(t, giver.exchange); n != 3 { // the root and two leaves
		t.Errorf("sent %d blocks, want 3", n)
	}
	holds(t, taker, map[string]int{filesDir: 1, partialDir: 0})
}

// A fetch that ends early leaves a partial file only, and the next store to open
// the folder, as after a kill, goes on with it.
func TestResumeAfterKill(t *testing.T) {
	giver, giverHost := online(t)
	data, dag, _ := give(t, giver, 7, 40*leafBytes)
	first, h := online(t)
	connect(t, h, giverHost)
	ctx, kill := context.WithCancel(t.Context())
	_, err := first.File(ctx, dag.Root, plenty, func(have, _ int64) {
		if have >= 3*leafBytes {
			kill()
		}
	})
	wantError(t, err, context.Canceled)
	check(t, first.Close())
	holds(t, first, map[string]int{filesDir: 0, indexDir: 0, partialDir: 1})

	second := openStore(t, first.root.Name())
	h = newHost(t)
	second.Start(h, nil)
	connect(t, h, giverHost)
	var reports []int64 // first one as each leaf of the partial file is looked at
	_, err = second.File(t.Context(), dag.Root, plenty, func(have, _ int64) { reports = append(reports, have) })
	check(t, err)
	if kept := reports[len(dag.Leaves)-1]; kept < 2*leafBytes { // the last leaf may be the third
		t.Errorf("kept %d bytes of 3 leaves", kept)
	}
	take(t, second, dag.Root, data)
}

// Callers that want one file share its fetch; one that leaves, and one that
// allowed too little, do not disturb the others.
func TestCallersShareAFetch(t *testing.T) {
	giver, giverHost := online(t)
	taker, takerHost := online(t)
	data, dag, _ := give(t, giver, 6, 4*leafBytes)

	var callers sync.WaitGroup
	ctx, leave := context.WithCancel(t.Context())
	left := make(chan error, 1)
	callers.Go(func() {
		_, err := taker.File(ctx, dag.Root, plenty, nil)
		left <- err
	})
	for range 8 {
		callers.Go(func() {
			if _, err := taker.File(t.Context(), dag.Root, int64(len(data)), nil); err != nil {
				t.Error(err)
			}
		})
	}
	waitAboard(taker, dag.Root, 9) // nobody is connected yet
	leave()
	wantError(t, <-left, context.Canceled)
	connect(t, takerHost, giverHost)
	callers.Wait()
	take(t, taker, dag.Root, data)
	if n, want := sent(t, giver.exchange), uint64(len(dag.Leaves)+len(dag.Inner)); n != want {
		t.Errorf("sent %d blocks, want %d", n, want)
	}
}

// The first caller's smaller limit is not the others'.
func TestLimitIsTheCallersOwn(t *testing.T) {
	giver, giverHost := online(t)
	taker, takerHost := online(t)
	data, dag, _ := give(t, giver, 6, 2*leafBytes)
	small := make(chan error, 1)
	go func() {
		_, err := taker.File(t.Context(), dag.Root, leafBytes, nil)
		small <- err
	}()
	waitAboard(taker, dag.Root, 1)
	var other sync.WaitGroup
	other.Go(func() {
		if _, err := taker.File(t.Context(), dag.Root, plenty, nil); err != nil {
			t.Error(err)
		}
	})
	connect(t, takerHost, giverHost)
	wantError(t, <-small, ErrTooLarge)
	other.Wait()
	take(t, taker, dag.Root, data)
}

// Two stores with half of the files each end up with all of them.
func TestSwap(t *testing.T) {
	a, b := pair(t)
	type given struct {
		root cid.Cid
		data []byte
	}
	var all []given
	for i := range 6 {
		s := []*Store{a, b}[i%2]
		data, dag, _ := give(t, s, uint64(i), 2*leafBytes+i)
		all = append(all, given{dag.Root, data})
	}
	var callers sync.WaitGroup
	for _, s := range []*Store{a, b} {
		for _, g := range all {
			callers.Go(func() {
				if _, err := s.File(t.Context(), g.root, plenty, nil); err != nil {
					t.Error(err)
				}
			})
		}
	}
	callers.Wait()
	for _, g := range all {
		take(t, a, g.root, g.data)
		take(t, b, g.root, g.data)
	}
}

// Only sha2-256 CIDs of the right codec are looked for.
func TestUnsuitableCIDs(t *testing.T) {
	s := openStore(t, t.TempDir())
	data := []byte("bytes")
	sum := func(codec, hash uint64, version uint64) cid.Cid {
		length := -1
		c, err := cid.Prefix{Version: version, Codec: codec, MhType: hash, MhLength: length}.Sum(data)
		check(t, err)
		return c
	}
	for name, c := range map[string]cid.Cid{
		"none":      cid.Undef,
		"version 0": sum(cid.DagProtobuf, multihash.SHA2_256, 0),
		"identity":  sum(cid.Raw, multihash.IDENTITY, 1),
		"sha1":      sum(cid.Raw, multihash.SHA1, 1),
		"sha2-512":  sum(cid.DagJSON, multihash.SHA2_512, 1),
		"codec":     sum(cid.DagCBOR, multihash.SHA2_256, 1),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := s.File(t.Context(), c, plenty, nil)
			wantError(t, err, ErrCID)
			_, err = s.Manifest(t.Context(), c)
			wantError(t, err, ErrCID)
		})
	}
	_, err := s.Manifest(t.Context(), sum(cid.Raw, multihash.SHA2_256, 1))
	wantError(t, err, ErrCID)
	_, err = s.File(t.Context(), sum(cid.DagJSON, multihash.SHA2_256, 1), plenty, nil)
	wantError(t, err, ErrCID)
}

// Without an exchange, and after Close, there is an error and no waiting.
func TestOfflineAndClosed(t *testing.T) {
	s := openStore(t, t.TempDir())
	file, manifest := rawCID(t, []byte("x")), cid.NewCidV1(cid.DagJSON, rawCID(t, []byte("x")).Hash())
	for _, want := range []error{ErrAbsent, ErrClosed} {
		_, err := s.File(t.Context(), file, plenty, nil)
		wantError(t, err, want)
		_, err = s.Manifest(t.Context(), manifest)
		wantError(t, err, want)
		check(t, s.Close())
	}
}

// Close ends those who wait for what nobody has.
func TestCloseEndsFetches(t *testing.T) {
	s, _ := online(t)
	file, manifest := rawCID(t, []byte("x")), cid.NewCidV1(cid.DagJSON, rawCID(t, []byte("x")).Hash())
	errs := make(chan error, 2)
	go func() {
		_, err := s.File(t.Context(), file, plenty, nil)
		errs <- err
	}()
	go func() {
		_, err := s.Manifest(t.Context(), manifest)
		errs <- err
	}()
	for len(s.exchange.GetWantlist()) < 2 {
		runtime.Gosched()
	}
	check(t, s.Close())
	for range 2 {
		wantError(t, <-errs, ErrClosed)
	}
}
