package api_test

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/zetagrid/zetagrid/node/api"
	"github.com/zetagrid/zetagrid/node/session"
)

// echoGrid answers every prompt with the prompt. A real Grid is a node.
type echoGrid struct{}

func (echoGrid) Models() []api.Model { return []api.Model{{ID: "bafymodel"}} }

func (echoGrid) Status() api.Status {
	return api.Status{Model: "bafymodel", Blocks: 4, Covered: true, Nodes: []api.Node{
		{Peer: "12D3KooA", Blocks: api.Span{0, 4}, State: "serving"},
	}}
}

func (echoGrid) Events(ctx context.Context) <-chan api.Event {
	none := make(chan api.Event)
	context.AfterFunc(ctx, func() { close(none) })
	return none
}

func (echoGrid) Generate(_ context.Context, r session.Request) (api.Stream, error) {
	return &echo{prompt: r.Prompt, rest: r.Prompt[:min(len(r.Prompt), r.MaxBytes)]}, nil
}

type echo struct {
	prompt, rest []byte
}

func (e *echo) Next() (session.Piece, error) {
	if len(e.rest) == 0 {
		return session.Piece{}, io.EOF
	}
	b := e.rest[0]
	e.rest = e.rest[1:]
	return session.Piece{Byte: b}, nil
}

func (e *echo) Finish() session.Finish { return session.FinishLength }
func (e *echo) Usage() session.Usage   { return session.Usage{PromptBytes: len(e.prompt)} }
func (e *echo) Close() error           { return nil }

// Serve a grid on loopback, and ask it through its own client.
func Example() {
	server, err := api.Listen("127.0.0.1:0", echoGrid{}, api.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	client := &api.Client{Base: server.URL()}
	status, err := client.Status(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("covered:", status.Covered, "blocks:", status.Nodes[0].Blocks)

	answer, err := client.Complete(ctx, session.Request{Prompt: []byte("a byte is a token"), MaxBytes: 6, LogProbs: -1})
	if err != nil {
		fmt.Println(err)
		return
	}
	for {
		piece, err := answer.Next()
		if err != nil {
			break
		}
		fmt.Printf("%c", piece.Byte)
	}
	fmt.Printf("\n%s after %d prompt bytes\n", answer.Finish(), answer.Usage().PromptBytes)
	if err := answer.Close(); err != nil {
		fmt.Println(err)
	}
	if err := server.Shutdown(ctx); err != nil {
		fmt.Println(err)
	}

	// Output:
	// covered: true blocks: [0 4]
	// a byte
	// length after 17 prompt bytes
}
