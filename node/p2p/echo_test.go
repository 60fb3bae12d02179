package p2p

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"sync"
	"testing"

	"github.com/quic-go/quic-go"
)

// rowBytes is one row of the release: 4,096 columns in bf16.
const rowBytes = 8 << 10

// BenchmarkStageEcho and BenchmarkQUICEcho send a row there and back over loopback,
// the first by stage stream, the second by quic-go alone.
func BenchmarkStageEcho(b *testing.B) {
	server := startHost(b, Options{})
	client := startHost(b, Options{Bootstrap: server.Addrs()})
	awaitConnected(b, client, server.ID())
	s, err := client.Dial(b.Context(), server.ID())
	if err != nil {
		b.Fatal(err)
	}
	go func() { echo((<-server.Accept()).Stream) }()
	benchmarkEcho(b, s)
	_ = s.Reset()
}

func BenchmarkQUICEcho(b *testing.B) {
	var served sync.WaitGroup
	defer served.Wait() // once the listener is closed
	listener, err := quic.ListenAddr("127.0.0.1:0", selfSigned(b), nil)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	served.Go(func() {
		c, err := listener.Accept(b.Context())
		if err != nil {
			return
		}
		if s, err := c.AcceptStream(b.Context()); err == nil {
			echo(s)
		}
		_ = c.CloseWithError(0, "") // its socket closes with the last connection
	})
	c, err := quic.DialAddr(b.Context(), listener.Addr().String(), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"echo"}}, nil)
	if err != nil {
		b.Fatal(err)
	}
	s, err := c.OpenStreamSync(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	benchmarkEcho(b, s)
	_ = c.CloseWithError(0, "")
}

// echo sends rows back until the stream ends.
func echo(s io.ReadWriter) {
	row := make([]byte, rowBytes)
	for {
		if _, err := io.ReadFull(s, row); err != nil {
			return
		}
		if _, err := s.Write(row); err != nil {
			return
		}
	}
}

func benchmarkEcho(b *testing.B, s io.ReadWriter) {
	b.SetBytes(2 * rowBytes)
	row := make([]byte, rowBytes)
	for b.Loop() {
		if _, err := s.Write(row); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(s, row); err != nil {
			b.Fatal(err)
		}
	}
}

// selfSigned is a certificate for an echo on loopback.
func selfSigned(b *testing.B) *tls.Config {
	b.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		b.Fatal(err)
	}
	return &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: private}},
		NextProtos:   []string{"echo"},
	}
}
