package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/zetagrid/zetagrid/node/p2p"
	"github.com/zetagrid/zetagrid/node/session"
	"github.com/zetagrid/zetagrid/node/wire"
)

// stream carries frames to or from one peer, or from this node to itself.
type stream interface {
	io.ReadWriteCloser
	Reset() error
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
}

// incoming is a stream that a peer opened.
type incoming struct {
	peer   string // peer ID bytes
	stream stream
}

// links opens and accepts streams. A node without a host reaches only itself.
type links struct {
	self  string    // peer ID bytes
	host  *p2p.Host // nil: offline
	local chan incoming
	done  chan struct{}
}

func newLinks(self string, host *p2p.Host) *links {
	return &links{self: self, host: host, local: make(chan incoming), done: make(chan struct{})}
}

var errOffline = errors.New("this node has no host")

// dial opens a stream to a peer; to itself, a pipe.
func (l *links) dial(ctx context.Context, to string) (stream, error) {
	if to == l.self {
		near, far := net.Pipe()
		select {
		case l.local <- incoming{l.self, pipe{far}}:
			return pipe{near}, nil
		case <-l.done:
			return nil, errors.Join(errOffline, near.Close(), far.Close())
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), near.Close(), far.Close())
		}
	}
	if l.host == nil {
		return nil, errOffline
	}
	id, err := peer.IDFromBytes([]byte(to))
	if err != nil {
		return nil, fmt.Errorf("peer ID: %w", err)
	}
	s, err := l.host.Dial(ctx, id)
	if err != nil {
		return nil, err
	}
	return s, nil
}

// accept calls handle in a goroutine of its own for each stream, until close.
func (l *links) accept(handle func(incoming)) {
	var remote <-chan p2p.Incoming
	if l.host != nil {
		remote = l.host.Accept()
	}
	for {
		select {
		case in := <-l.local:
			handle(in)
		case in := <-remote:
			handle(incoming{string(in.Peer), in.Stream})
		case <-l.done:
			return
		}
	}
}

func (l *links) close() { close(l.done) }

// pipe is one end of a stream to oneself.
type pipe struct{ net.Conn }

func (p pipe) Reset() error { return p.Close() }

// writeFrame sends one frame in one write.
func writeFrame(s stream, f *wire.Frame) error {
	if err := s.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	_, err := s.Write(f.Append(make([]byte, 0, wire.HeaderBytes+len(f.Body))))
	return err
}

// nextHopCode is the refusal for rows that could not be sent on: the next peer is
// lost, or we have as many streams to it as we may.
func nextHopCode(err error) wire.Code {
	if errors.Is(err, network.ErrResourceLimitExceeded) {
		return wire.CodeNoSlot
	}
	return wire.CodeNextHop
}

// hopLost is what a gateway's machine is told of a hop with which it cannot talk.
func hopLost(hop int, err error) session.Input {
	if code := nextHopCode(err); code == wire.CodeNoSlot {
		return session.Refused{Hop: hop, Code: code, Text: err.Error()}
	}
	return session.HopLost{Hop: hop, Reason: err.Error()}
}

// hangUp ends a stream at once; what fails on the way does not matter any more.
func hangUp(s stream) {
	if s != nil {
		_ = s.Reset()
	}
}
