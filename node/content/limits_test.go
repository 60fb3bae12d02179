package content

import (
	"bytes"
	"context"
	"errors"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	blocks "github.com/ipfs/go-block-format"
	"github.com/ipfs/go-cid"

	"github.com/zetagrid/zetagrid/tcn/modelfile"
)

// filesAtOnce files are written at once; one more waits for its turn.
func TestFilesAtOnce(t *testing.T) {
	giver, taker := pair(t)
	data, dag, _ := give(t, giver, 1, 2*leafBytes)
	for range filesAtOnce - 1 {
		taker.slots <- struct{}{}
	}
	take(t, taker, dag.Root, data) // in the last slot
	data, dag, _ = give(t, giver, 2, 2*leafBytes)
	taker.slots <- struct{}{}
	ctx, cancel := context.WithCancel(t.Context())
	waited := make(chan error)
	go func() {
		_, err := taker.File(ctx, dag.Root, plenty, nil)
		waited <- err
	}()
	waitAboard(taker, dag.Root, 1)
	cancel()
	wantError(t, <-waited, context.Canceled)
	<-taker.slots
	take(t, taker, dag.Root, data)
}

// Files whose leaves never come hold up no other.
func TestIdleFilesGiveWay(t *testing.T) {
	data := randomBytes(1, 2*leafBytes)
	dag, err := modelfile.BuildFileDAG(bytes.NewReader(data))
	check(t, err)
	synctest.Test(t, func(t *testing.T) {
		s := openStore(t, t.TempDir())
		ctx, cancel := context.WithCancel(t.Context())
		never := func(ctx context.Context, _ cid.Cid) (blocks.Block, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		ignore := func(int64, int64) {}
		stuck := make(chan error, filesAtOnce)
		for i := range filesAtOnce {
			root, inner := tree(t, 2*leafBytes+int64(i)+1)
			l, err := readLayout(ctx, root, plenty, memory(inner...))
			check(t, err)
			go func() { stuck <- s.inTurn(ctx, l, never, ignore) }()
		}
		synctest.Wait() // all slots are taken
		l, err := readLayout(ctx, dag.Root, plenty, memory(dag.Inner...))
		check(t, err)
		began := time.Now()
		leaves := memory(mustBlock(t, data[:leafBytes], dag.Leaves[0]), mustBlock(t, data[leafBytes:], dag.Leaves[1]))
		check(t, s.inTurn(ctx, l, leaves, ignore))
		if waited := time.Since(began); waited != idleTime || !s.Has(dag.Root) {
			t.Errorf("waited %v for a slot, want %v", waited, idleTime)
		}
		cancel()
		for range filesAtOnce {
			wantError(t, <-stuck, context.Canceled)
		}
	})
}

// No more than leavesAtOnce leaves are asked for at once.
func TestLeavesAtOnce(t *testing.T) {
	l := layout{size: 3 * leavesAtOnce * leafBytes}
	leaf := mustBlock(t, make([]byte, leafBytes), rawCID(t, make([]byte, leafBytes)))
	var lacking []want
	for i := range 3 * leavesAtOnce {
		lacking = append(lacking, want{leaf: leaf.Cid(), at: []int{i}})
	}
	var mu sync.Mutex
	var now, most int
	full := make(chan struct{})
	get := func(ctx context.Context, _ cid.Cid) (blocks.Block, error) {
		mu.Lock()
		now++
		most = max(most, now)
		if now == leavesAtOnce {
			select {
			case <-full:
			default:
				close(full)
			}
		}
		mu.Unlock()
		<-full // nothing comes until all the slots are taken
		mu.Lock()
		now--
		mu.Unlock()
		return leaf, ctx.Err()
	}
	check(t, l.fill(t.Context(), nowhere{}, lacking, 0, get, func(int64, int64) {}))
	if most != leavesAtOnce {
		t.Errorf("%d leaves at once, want %d", most, leavesAtOnce)
	}
}

// nowhere takes all that is written.
type nowhere struct{}

func (nowhere) WriteAt(p []byte, _ int64) (int, error) { return len(p), nil }

// refusing is a disk that takes nothing.
type refusing struct{}

var errRefused = errors.New("refused")

func (refusing) WriteAt([]byte, int64) (int, error) { return 0, errRefused }

// A disk that refuses a write, has no room or cannot commit leaves nothing.
func TestDiskRefuses(t *testing.T) {
	data := randomBytes(1, 3*leafBytes)
	path, dag := outside(t, data)
	leaf := mustBlock(t, data[:leafBytes], dag.Leaves[0])
	l := layout{size: 3 * leafBytes}
	err := l.fill(t.Context(), refusing{}, []want{{leaf.Cid(), []int{0}}}, 0, memory(leaf), func(int64, int64) {})
	wantError(t, err, ErrDisk)
	wantError(t, err, errRefused)

	giver, taker := pair(t)
	check(t, giver.addFile(t.Context(), dag.Root, path))
	_, small, _ := give(t, giver, 2, 1000)
	nothing := map[string]int{filesDir: 0, indexDir: 0, partialDir: 0}

	room := func(n uint64) func(string) (uint64, error) {
		return func(string) (uint64, error) { return n, nil }
	}
	for root, size := range map[cid.Cid]uint64{dag.Root: 3 * leafBytes, small.Root: 1000} {
		taker.room = room(size - 1)
		_, err = taker.File(t.Context(), root, plenty, nil)
		wantError(t, err, ErrDisk)
	}
	taker.room = func(string) (uint64, error) { return 0, errRefused }
	_, err = taker.File(t.Context(), dag.Root, plenty, nil)
	wantError(t, err, errRefused)
	holds(t, taker, nothing)

	// What is there already needs no room.
	check(t, os.WriteFile(taker.path(partialName(dag.Root)), data[:2*leafBytes], 0o600))
	taker.room = room(leafBytes)
	take(t, taker, dag.Root, data)

	// A complete file that cannot get its name is not kept either.
	taker.room = room(plenty)
	other, otherDAG, _ := give(t, giver, 3, 2*leafBytes)
	check(t, os.RemoveAll(taker.path(filesDir)))
	_, err = taker.File(t.Context(), otherDAG.Root, plenty, nil)
	wantError(t, err, ErrDisk)
	holds(t, taker, map[string]int{partialDir: 0})
	check(t, os.MkdirAll(taker.path(filesDir), 0o700))
	take(t, taker, otherDAG.Root, other)
}
