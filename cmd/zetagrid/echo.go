package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"time"

	"github.com/quic-go/quic-go"
)

// echoProtocol is the ALPN of the echo.
const echoProtocol = "zetagrid-echo"

// quicEchoes sends size bytes over a bare QUIC stream on loopback and waits for
// them to come back, n times: what no grid can be faster than.
func quicEchoes(ctx context.Context, size, n int) (times []time.Duration, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	certificate, err := echoCertificate()
	if err != nil {
		return nil, err
	}
	listener, err := quic.ListenAddr("127.0.0.1:0", &tls.Config{
		Certificates: []tls.Certificate{certificate}, NextProtos: []string{echoProtocol}, MinVersion: tls.VersionTLS13,
	}, nil)
	if err != nil {
		return nil, err
	}
	served := make(chan error, 1)
	go func() { served <- serveEcho(ctx, listener, size) }()
	defer func() { err = errors.Join(err, listener.Close(), ignoreClosed(<-served)) }()
	roots := x509.NewCertPool()
	roots.AddCert(certificate.Leaf)
	conn, err := quic.DialAddr(ctx, listener.Addr().String(), &tls.Config{
		RootCAs: roots, ServerName: "localhost", NextProtos: []string{echoProtocol}, MinVersion: tls.VersionTLS13,
	}, nil)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, conn.CloseWithError(0, "done")) }()
	stream, err := conn.OpenStreamSync(ctx)
	if err != nil {
		return nil, err
	}
	return timeEchoes(stream, size, n)
}

func timeEchoes(stream io.ReadWriter, size, n int) ([]time.Duration, error) {
	times := make([]time.Duration, 0, n)
	row := make([]byte, size)
	for range n {
		began := time.Now()
		if _, err := stream.Write(row); err != nil {
			return nil, err
		}
		if _, err := io.ReadFull(stream, row); err != nil {
			return nil, err
		}
		times = append(times, time.Since(began))
	}
	return times, nil
}

// serveEcho answers one stream of one connection until it ends.
func serveEcho(ctx context.Context, listener *quic.Listener, size int) error {
	conn, err := listener.Accept(ctx)
	if err != nil {
		return err
	}
	stream, err := conn.AcceptStream(ctx)
	if err != nil {
		return err
	}
	row := make([]byte, size)
	for {
		if _, err := io.ReadFull(stream, row); err != nil {
			return err
		}
		if _, err := stream.Write(row); err != nil {
			return err
		}
	}
}

// ignoreClosed drops the error with which the echo's end is announced.
func ignoreClosed(err error) error {
	var closed *quic.ApplicationError
	if errors.As(err, &closed) || errors.Is(err, context.Canceled) || errors.Is(err, quic.ErrServerClosed) {
		return nil
	}
	return err
}

// echoCertificate is a certificate for the length of one measurement.
func echoCertificate() (tls.Certificate, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		return tls.Certificate{}, err
	}
	leaf, err := x509.ParseCertificate(der)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private, Leaf: leaf}, err
}
