package content

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/ipfs/boxo/exchange"
	"github.com/ipfs/go-cid"
	"golang.org/x/sync/errgroup"

	"github.com/zetagrid/zetagrid/node/internal/atomicfile"
	"github.com/zetagrid/zetagrid/tcn/modelfile"
)

// emptyFile is the name of the file without a byte, which bitswap does not carry.
var emptyFile = cid.MustParse("bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku")

// fetchLeaf brings a file of one leaf into its place.
func (s *Store) fetchLeaf(ctx context.Context, c cid.Cid, f *flight, peers exchange.Fetcher) error {
	var data []byte
	if c != emptyFile {
		block, err := insist(peers.GetBlock)(ctx, c)
		if err != nil {
			return err
		}
		data = block.RawData()
	}
	size := int64(len(data))
	if size > modelfile.LeafBytes {
		return fmt.Errorf("%w: a leaf of %d bytes, limit %d", ErrLayout, size, modelfile.LeafBytes)
	}
	if size > f.maxBytes {
		return fmt.Errorf("%w: %d bytes, limit %d", ErrTooLarge, size, f.maxBytes)
	}
	if err := s.checkRoom(size); err != nil {
		return err
	}
	if err := atomicfile.WriteIn(s.root, fileName(c), data, 0o644); err != nil {
		return fmt.Errorf("%w: %w", ErrDisk, err)
	}
	f.report(size, size)
	return s.addFile(ctx, c, s.path(fileName(c)))
}

// checkRoom refuses to begin what would fill the disk.
func (s *Store) checkRoom(size int64) error {
	free, err := s.room(s.root.Name())
	if err != nil {
		return fmt.Errorf("%w: %w", ErrDisk, err)
	}
	if free < uint64(size) {
		return fmt.Errorf("%w: %d bytes to come, room for %d", ErrDisk, size, free)
	}
	return nil
}

// download brings the file of l into its place. The partial file stays for the
// next try when peers fail, not when the disk does.
func (s *Store) download(ctx context.Context, l layout, get getBlock, progress Progress) (err error) {
	name := partialName(l.root)
	partial, err := s.root.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrDisk, err)
	}
	defer func() {
		if err != nil {
			_ = partial.Close() // a second Close only repeats what err already says
		}
		if errors.Is(err, ErrDisk) {
			err = errors.Join(err, s.root.Remove(name))
		}
	}()
	lacking, have, err := l.lacking(ctx, partial, progress)
	if err != nil {
		return err
	}
	if err := s.checkRoom(l.size - have); err != nil {
		return err
	}
	if err := l.fill(ctx, partial, lacking, have, get, progress); err != nil {
		return err
	}
	at, err := s.commit(l, partial)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrDisk, err)
	}
	f := &file{layout: l, path: s.path(fileName(l.root)), stamp: at}
	s.writeIndex(f)
	s.keepFile(f)
	return nil
}

// commit gives the complete partial file of l its name.
func (s *Store) commit(l layout, partial *os.File) (stamp, error) {
	if err := partial.Truncate(l.size); err != nil { // it was longer, if not ours
		return stamp{}, err
	}
	if err := atomicfile.Commit(s.root, partial, partialName(l.root), fileName(l.root)); err != nil {
		return stamp{}, err
	}
	info, err := s.root.Stat(fileName(l.root))
	if err != nil {
		return stamp{}, err
	}
	return stampOf(info), nil
}

// want is a leaf and the places in a file where it belongs.
type want struct {
	leaf cid.Cid
	at   []int
}

// lacking hashes what an earlier try left in a partial file. It returns the
// leaves that are not there, each once, and how many bytes are.
func (l *layout) lacking(ctx context.Context, partial io.ReaderAt, progress Progress) (lacking []want, have int64, err error) {
	known := map[cid.Cid]int{}
	buffer := make([]byte, modelfile.LeafBytes)
	for i, leaf := range l.leaves {
		if err := ctx.Err(); err != nil {
			return nil, 0, err
		}
		progress(have, l.size)
		data := buffer[:l.leafSize(i)]
		n, err := partial.ReadAt(data, int64(i)*modelfile.LeafBytes)
		if err != nil && err != io.EOF {
			return nil, 0, fmt.Errorf("%w: %w", ErrDisk, err)
		}
		if n == len(data) && matches(leaf, data) {
			have += int64(n)
			continue
		}
		at, ok := known[leaf]
		if !ok {
			at = len(lacking)
			known[leaf] = at
			lacking = append(lacking, want{leaf: leaf})
		}
		lacking[at].at = append(lacking[at].at, i)
	}
	return lacking, have, nil
}

// fill writes the leaves that lack to partial, leavesAtOnce at a time.
func (l *layout) fill(ctx context.Context, partial io.WriterAt, lacking []want, have int64, get getBlock, progress Progress) error {
	var mu sync.Mutex
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(leavesAtOnce)
	for _, w := range lacking {
		group.Go(func() error {
			block, err := get(ctx, w.leaf)
			if err != nil {
				return err
			}
			for _, i := range w.at {
				size := l.leafSize(i)
				if int64(len(block.RawData())) != size {
					return fmt.Errorf("%w: leaf %d has %d bytes, want %d", ErrLayout, i, len(block.RawData()), size)
				}
				if _, err := partial.WriteAt(block.RawData(), int64(i)*modelfile.LeafBytes); err != nil {
					return fmt.Errorf("%w: leaf %d: %w", ErrDisk, i, err)
				}
				mu.Lock()
				have += size
				progress(have, l.size)
				mu.Unlock()
			}
			return nil
		})
	}
	return group.Wait()
}
