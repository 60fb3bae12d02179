package api

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/zetagrid/zetagrid/node/session"
	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/modelfile"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	ownModel   = "bafymodel"
	otherModel = "bafyother"
	ownSoul    = "bafysoul"
)

// double stands in for a node behind the Grid seam. Its answers are a function
// of prompt and seed, as a grid's are.
type double struct {
	answer  func(r session.Request, i int) byte // nil: spoken
	refuse  error                               // from Generate
	failAt  int                                 // with fail: bytes before it
	fail    error                               // from Next
	waitAt  int                                 // with wait: bytes before Next blocks until Close
	wait    bool
	status  Status
	events  chan Event
	streams chan *doubleStream // every stream opened, if not nil

	mu       sync.Mutex
	requests []session.Request
}

// spoken is lower-case text that depends on prompt and seed.
func spoken(r session.Request, i int) byte {
	n := uint64(i) + r.Sampling.Seed + uint64(r.Prompt[i%len(r.Prompt)])
	return 'a' + byte(n*n%26)
}

// saying answers with fixed bytes, over and over.
func saying(text string) func(session.Request, int) byte {
	return func(_ session.Request, i int) byte { return text[i%len(text)] }
}

func (d *double) Generate(ctx context.Context, r session.Request) (Stream, error) {
	if d.refuse != nil {
		return nil, d.refuse
	}
	d.mu.Lock()
	d.requests = append(d.requests, r)
	d.mu.Unlock()
	s := &doubleStream{double: d, ctx: ctx, request: r, closed: make(chan struct{}), finish: session.FinishLength, end: r.MaxBytes}
	if len(r.Stop) > 0 {
		s.find()
	}
	if d.streams != nil {
		d.streams <- s
	}
	return s, nil
}

// last is the request that Generate saw last.
func (d *double) last(t *testing.T) session.Request {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.requests) == 0 {
		t.Fatal("no request reached the grid")
	}
	return d.requests[len(d.requests)-1]
}

func (d *double) Models() []Model {
	return []Model{
		{ID: ownModel, Created: 1_700_000_000, Soul: ownSoul, Souls: []string{ownSoul}, Template: modelfile.DefaultTemplate},
		{ID: otherModel, Template: modelfile.Template{}},
	}
}

func (d *double) Status() Status { return d.status }

func (d *double) Events(ctx context.Context) <-chan Event {
	out := make(chan Event)
	go func() {
		defer close(out)
		for {
			select {
			case e := <-d.events:
				select {
				case out <- e:
				case <-ctx.Done():
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	return out
}

type doubleStream struct {
	*double
	ctx     context.Context
	request session.Request
	n, end  int
	echoed  int // bytes of the prompt repeated
	finish  session.Finish
	once    sync.Once
	closed  chan struct{}
}

func (s *doubleStream) at(i int) byte {
	if s.answer == nil {
		return spoken(s.request, i)
	}
	return s.answer(s.request, i)
}

// find cuts the answer before the first stop sequence.
func (s *doubleStream) find() {
	text := make([]byte, s.request.MaxBytes)
	for i := range text {
		text[i] = s.at(i)
	}
	for _, stop := range s.request.Stop {
		if i := bytes.Index(text, stop); i >= 0 && i < s.end {
			s.end, s.finish = i, session.FinishStop
		}
	}
}

// echo is byte i of the prompt as a grid repeats it.
func (s *doubleStream) echo(i int) session.Piece {
	p := session.Piece{Byte: s.request.Prompt[i], Position: i, LogProb: float32(math.NaN())}
	if i > 0 {
		p.LogProb = -float32(i)
		for n := range s.request.LogProbs {
			p.Top = append(p.Top, session.ByteLogProb{Byte: p.Byte + byte(n), LogProb: p.LogProb - float32(n)})
		}
	}
	return p
}

func (s *doubleStream) Next() (session.Piece, error) {
	if s.request.Echo && s.echoed < len(s.request.Prompt) {
		s.echoed++
		return s.echo(s.echoed - 1), nil
	}
	switch {
	case s.fail != nil && s.n == s.failAt:
		return session.Piece{}, s.fail
	case s.wait && s.n == s.waitAt:
		<-s.closed
	case s.n == s.end:
		return session.Piece{}, io.EOF
	}
	select {
	case <-s.closed:
		return session.Piece{}, fmt.Errorf("%w: stream closed", session.ErrCanceled)
	default:
	}
	p := session.Piece{Byte: s.at(s.n), Position: len(s.request.Prompt) + s.n, LogProb: -float32(s.n+1) / 4}
	for i := range max(s.request.LogProbs, 0) {
		p.Top = append(p.Top, session.ByteLogProb{Byte: p.Byte + byte(i), LogProb: p.LogProb - float32(i)})
	}
	s.n++
	return p, nil
}

func (s *doubleStream) Finish() session.Finish { return s.finish }

func (s *doubleStream) Usage() session.Usage {
	return session.Usage{
		PromptBytes: len(s.request.Prompt), GeneratedBytes: s.n, Laps: s.n + 1,
		Total: 10 * time.Millisecond, Queue: time.Millisecond, Compute: 6 * time.Millisecond, Wire: 3 * time.Millisecond,
		Hops: []session.HopUsage{
			{Peer: "peer-a", Blocks: tcn.Range{Lo: 0, Hi: 2}, Queue: time.Millisecond, Compute: 2 * time.Millisecond},
			{Peer: "peer-b", Blocks: tcn.Range{Lo: 2, Hi: 4}, Compute: 4 * time.Millisecond},
		},
	}
}

func (s *doubleStream) Close() error {
	s.once.Do(func() { close(s.closed) })
	return nil
}

// serve puts grid on a real socket for the length of a test.
func serve(t *testing.T, grid Grid, o Options, change ...func(*handler)) *httptest.Server {
	t.Helper()
	h := newHandler(grid, o)
	for _, f := range change {
		f(h)
	}
	server := httptest.NewServer(h.routes(o))
	t.Cleanup(server.Close)
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	return server
}

// collect reads a stream to its end.
func collect(t *testing.T, s Stream) ([]session.Piece, error) {
	t.Helper()
	var pieces []session.Piece
	for {
		p, err := s.Next()
		if err == io.EOF {
			return pieces, nil
		}
		if err != nil {
			return pieces, err
		}
		pieces = append(pieces, p)
	}
}

// bytesOf joins pieces.
func bytesOf(pieces []session.Piece) []byte {
	out := []byte{}
	for _, p := range pieces {
		out = append(out, p.Byte)
	}
	return out
}
