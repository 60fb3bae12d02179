package p2p

import (
	"context"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// A peer that died without a word and came back is not talked to by the connection
// of the process that died, which QUIC would keep for half a minute.
func TestBackAfterCrash(t *testing.T) {
	t.Parallel()
	survivor := startHost(t, Options{})
	addr, cut := wire(t, survivor)
	key := newKey(t)
	first := startHost(t, Options{Key: key, Bootstrap: []string{addr}})
	awaitConnected(t, survivor, first.ID())
	old := survivor.Host().Network().ConnsToPeer(first.ID())[0]
	if !survivor.answers(old) {
		t.Fatal("a connection that works does not answer")
	}
	gone := make(chan string, 8)
	survivor.Host().Network().Notify(&network.NotifyBundle{DisconnectedF: func(_ network.Network, c network.Conn) {
		gone <- c.ID()
	}})
	cut()
	if err := first.Close(); err != nil { // unheard
		t.Fatal(err)
	}
	again := startHost(t, Options{Key: key, Bootstrap: survivor.Addrs()})
	awaitConnected(t, again, survivor.ID())
	idle, cancel := context.WithTimeout(t.Context(), 25*time.Second) // QUIC itself takes 30
	defer cancel()
	select {
	case id := <-gone:
		if id != old.ID() {
			t.Fatal("the connection that works was closed")
		}
	case <-idle.Done():
		t.Fatal("the dead connection is still there")
	}
	if left := survivor.Host().Network().ConnsToPeer(again.ID()); len(left) != 1 || !survivor.answers(left[0]) {
		t.Fatalf("%d connections, or none that answers", len(left))
	}
}

// wire is an address of h by way of a line that can be cut: packets of one caller
// go to h and back.
func wire(t *testing.T, h *Host) (addr string, cut func()) {
	t.Helper()
	near, id, _ := strings.Cut(h.Addrs()[0], "/p2p/")
	target, err := manet.ToNetAddr(ma.StringCast(near).Decapsulate(ma.StringCast("/quic-v1")))
	if err != nil {
		t.Fatal(err)
	}
	outer, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	inner, err := net.DialUDP("udp4", nil, target.(*net.UDPAddr))
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	cut = func() {
		_ = outer.Close() // again at the end of the test
		_ = inner.Close()
		running.Wait()
	}
	t.Cleanup(cut)
	caller := make(chan net.Addr, 1)
	running.Go(func() {
		defer close(caller)
		told := false
		for packet := make([]byte, 2048); ; {
			n, from, err := outer.ReadFrom(packet)
			if err != nil {
				return
			}
			if !told {
				told = true
				caller <- from
			}
			_, _ = inner.Write(packet[:n]) // as lossy as any network
		}
	})
	running.Go(func() {
		from := <-caller
		for packet := make([]byte, 2048); from != nil; {
			n, err := inner.Read(packet)
			if err != nil {
				return
			}
			_, _ = outer.WriteTo(packet[:n], from)
		}
	})
	listening, err := manet.FromNetAddr(outer.LocalAddr())
	if err != nil {
		t.Fatal(err)
	}
	return listening.String() + "/quic-v1/p2p/" + id, cut
}
