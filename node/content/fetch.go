package content

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"

	blocks "github.com/ipfs/go-block-format"
	"github.com/ipfs/go-cid"
)

// Progress is told how many bytes of a file are here. It is called from other
// goroutines, never twice at once, and must not block.
type Progress func(have, size int64)

// File returns the path of file c, fetching it from peers if need be until ctx
// ends. A file that declares more than maxBytes is refused before any of it is
// written. Callers that want the same file share one fetch, which goes on while
// any of them waits; progress may be nil. The file must not be written to.
// Errors: ErrCID, ErrAbsent, ErrTooLarge, ErrLayout, ErrDisk, ErrClosed.
func (s *Store) File(ctx context.Context, c cid.Cid, maxBytes int64, progress Progress) (string, error) {
	if err := checkCID(c, cid.Raw, cid.DagProtobuf); err != nil {
		return "", err
	}
	for {
		if f := s.file(c); f != nil && f.unchanged() {
			if f.size > maxBytes {
				return "", fmt.Errorf("%w: %s of %d bytes, limit %d", ErrTooLarge, c, f.size, maxBytes)
			}
			return f.path, nil
		}
		f, err := s.board(c, maxBytes, progress)
		if err != nil {
			return "", fmt.Errorf("file %s: %w", c, err)
		}
		select {
		case <-f.done:
			err = f.err
		case <-ctx.Done():
			err = ctx.Err()
		}
		s.leave(f)
		switch {
		case err == nil: // and once more around, for the path
		case ctx.Err() == nil && errors.Is(err, context.Canceled) && s.ctx.Err() == nil:
			// Everyone else had left just before.
		case errors.Is(err, ErrTooLarge) && f.maxBytes < maxBytes:
			// Whoever began the fetch allowed less.
		case s.ctx.Err() != nil:
			return "", fmt.Errorf("file %s: %w", c, ErrClosed)
		default:
			return "", fmt.Errorf("file %s: %w", c, err)
		}
	}
}

// flight is one fetch that several callers may wait for.
type flight struct {
	maxBytes int64
	cancel   context.CancelFunc
	waiting  int // guarded by the store's lock

	mu       sync.Mutex
	watchers []Progress

	done chan struct{}
	err  error // once done
}

func (f *flight) report(have, size int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, watch := range f.watchers {
		watch(have, size)
	}
}

// board joins the fetch of c, or begins it.
func (s *Store) board(c cid.Cid, maxBytes int64, progress Progress) (*flight, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx.Err() != nil {
		return nil, ErrClosed
	}
	f := s.flights[c]
	if f == nil {
		ctx, cancel := context.WithCancel(s.ctx)
		f = &flight{maxBytes: maxBytes, cancel: cancel, done: make(chan struct{})}
		s.flights[c] = f
		s.running.Go(func() {
			defer cancel()
			f.err = s.bring(ctx, c, f)
			s.mu.Lock()
			delete(s.flights, c)
			s.mu.Unlock()
			close(f.done)
		})
	}
	f.waiting++
	if progress != nil {
		f.mu.Lock()
		f.watchers = append(f.watchers, progress)
		f.mu.Unlock()
	}
	return f, nil
}

// leave gives up waiting; the last to leave ends the fetch.
func (s *Store) leave(f *flight) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f.waiting--
	if f.waiting == 0 {
		f.cancel()
	}
}

// slot waits until one more file may be written or hashed.
func (s *Store) slot(ctx context.Context) (release func(), err error) {
	select {
	case s.slots <- struct{}{}:
		return func() { <-s.slots }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// bring looks for file c on disk, where it may lie without an index that vouches
// for it, and then at peers.
func (s *Store) bring(ctx context.Context, c cid.Cid, f *flight) error {
	if found, err := s.recheck(ctx, c); found || err != nil {
		return err
	}
	peers, err := s.peers(ctx)
	if err != nil {
		return err
	}
	if c.Prefix().Codec == cid.Raw {
		return s.fetchLeaf(ctx, c, f, peers)
	}
	// The tree is small and takes no slot: whoever promises a file that nobody
	// has keeps none from being fetched.
	l, err := readLayout(ctx, c, f.maxBytes, insist(peers.GetBlock))
	if err != nil {
		return err
	}
	return s.inTurn(ctx, l, peers.GetBlock, f.report)
}

// insist is get that asks again for a block that does not come: what was asked for
// once, canceled and asked for again may be lost on the way to a peer.
func insist(get getBlock) getBlock {
	return func(ctx context.Context, c cid.Cid) (blocks.Block, error) {
		for {
			turn, end := context.WithTimeout(ctx, idleTime)
			block, err := get(turn, c)
			again := err != nil && turn.Err() != nil && ctx.Err() == nil
			end()
			if !again {
				return block, err
			}
		}
	}
}

// inTurn downloads the file of l in a slot, which it gives to others for a while
// whenever no leaf comes for idleTime.
func (s *Store) inTurn(ctx context.Context, l layout, get getBlock, progress Progress) error {
	for {
		release, err := s.slot(ctx)
		if err != nil {
			return err
		}
		turn, end := context.WithCancel(ctx)
		idle := time.AfterFunc(idleTime, end)
		err = s.download(turn, l, get, func(have, size int64) {
			idle.Reset(idleTime)
			progress(have, size)
		})
		passed := turn.Err() != nil && ctx.Err() == nil
		idle.Stop()
		end()
		release()
		if err == nil || !passed || errors.Is(err, ErrDisk) {
			return err
		}
		s.log.Debug("no leaf came", "cid", l.root, "within", idleTime)
	}
}

// recheck hashes what lies on disk under the name c.
func (s *Store) recheck(ctx context.Context, c cid.Cid) (found bool, err error) {
	release, err := s.slot(ctx)
	if err != nil {
		return false, err
	}
	defer release()
	own := s.path(fileName(c))
	paths := []string{own}
	if known := s.file(c); known != nil {
		s.forgetFile(known)
		if known.path != own {
			paths = []string{known.path, own}
		}
	}
	for _, path := range paths {
		f, err := s.check(ctx, c, path)
		switch {
		case err == nil:
			s.keepFile(f)
			return true, nil
		case ctx.Err() != nil:
			return false, ctx.Err()
		case errors.Is(err, fs.ErrNotExist):
			continue
		}
		s.log.Error("file is fetched again", "cid", c, "error", err)
		if path == own && c.Prefix().Codec != cid.Raw { // whose good leaves the fetch keeps
			if err := s.root.Rename(fileName(c), partialName(c)); err != nil {
				return false, fmt.Errorf("%w: %w", ErrDisk, err)
			}
		}
	}
	return false, nil
}
