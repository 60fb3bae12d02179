package api

import (
	"testing"

	"github.com/zetagrid/zetagrid/node/session"
)

// BenchmarkStream is what the API costs a streamed byte, from a Grid that
// computes nothing over a loopback socket into a Client.
func BenchmarkStream(b *testing.B) {
	server, err := Listen("127.0.0.1:0", &double{}, Options{})
	if err != nil {
		b.Fatal(err)
	}
	client := &Client{Base: server.URL()}
	b.ReportAllocs()
	b.ResetTimer()
	stream, err := client.Complete(b.Context(), session.Request{Prompt: []byte("p"), MaxBytes: min(b.N, StreamedBytes), LogProbs: -1})
	if err != nil {
		b.Fatal(err)
	}
	for {
		if _, err := stream.Next(); err != nil {
			break
		}
	}
	if err := stream.Close(); err != nil {
		b.Error(err)
	}
	if err := server.Shutdown(b.Context()); err != nil {
		b.Error(err)
	}
}
