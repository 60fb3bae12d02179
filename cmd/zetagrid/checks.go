package main

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/zetagrid/zetagrid/node/p2p"
	"github.com/zetagrid/zetagrid/tcn/kernel"
	"github.com/zetagrid/zetagrid/tcn/modelfile"
)

// checkData tests the data folder, which it makes if need be, and the key in it.
func (c *doctorCmd) checkData() []check {
	folder, err := dataFolder(c.Data)
	if err != nil {
		return []check{fail("data folder", "name another with --data", err)}
	}
	probe, err := os.CreateTemp(folder, ".doctor-")
	if err != nil {
		return []check{fail("data folder", "make it writable, or name another with --data", err)}
	}
	name := probe.Name()
	_, err = probe.Write([]byte("doctor"))
	for _, e := range []error{probe.Close(), os.Remove(name)} {
		if err == nil {
			err = e
		}
	}
	if err != nil {
		return []check{fail("data folder", "free some space, or name another with --data", err)}
	}
	return []check{ok("data folder", "%s", folder), checkKey(folder)}
}

func checkKey(folder string) check {
	path := filepath.Join(folder, p2p.KeyFile)
	info, err := os.Stat(path)
	if os.IsNotExist(err) {
		return ok("key", "none yet; zetagrid up makes one")
	}
	if err != nil {
		return fail("key", "make "+path+" readable", err)
	}
	if _, err := p2p.LoadKey(folder); err != nil {
		return fail("key", "restore "+path+" from a copy, or remove it to become another peer", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return warn("key", "chmod 600 "+path, "others can read %s", path)
	}
	return ok("key", "%s", path)
}

// checkProcessor says which kernel set runs and checks its arithmetic.
func checkProcessor() []check {
	set, err := kernelSet()
	if err != nil {
		return []check{fail("processor", "unset "+kernelVariable, err)}
	}
	var names []string
	for _, s := range kernel.Available() {
		names = append(names, s.Name)
	}
	level := ok("processor", "computes with %s; this machine has %s", set.Name, strings.Join(names, ", "))
	return []check{level, checkArithmetic(set)}
}

// checkModel reads a model folder's manifests and looks for its files.
func checkModel(folder string) check {
	opened, err := modelfile.OpenFolder(folder)
	if err != nil {
		return fail("model", "zetagrid model verify names the first bad file", err)
	}
	var size int64
	for _, ref := range opened.Files() {
		info, err := os.Stat(filepath.Join(folder, ref.Path))
		if err != nil {
			return fail("model", "copy or import the model again", err)
		}
		size += info.Size()
	}
	_, id := opened.Model()
	return ok("model", "%s: %d files, %d bytes, all there (not rehashed)", id, len(opened.Files()), size)
}

// checkUDP sends a datagram to itself, as QUIC needs.
func checkUDP() check {
	const advice = "allow UDP for this program in the firewall"
	listener, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return fail("UDP", advice, err)
	}
	defer func() { _ = listener.Close() }() // only a probe
	const probe = "zetagrid"
	if _, err := listener.WriteTo([]byte(probe), listener.LocalAddr()); err != nil {
		return fail("UDP", advice, err)
	}
	if err := listener.SetReadDeadline(deadline()); err != nil {
		return fail("UDP", advice, err)
	}
	got := make([]byte, len(probe)+1)
	n, _, err := listener.ReadFrom(got)
	if err != nil {
		return fail("UDP", advice, err)
	}
	if string(got[:n]) != probe {
		return fail("UDP", advice, fmt.Errorf("sent %q to %s, received %q", probe, listener.LocalAddr(), got[:n]))
	}
	return ok("UDP", "can listen, send and receive")
}

// bufferBytes is the receive buffer that quic-go asks the system for.
const bufferBytes = 7 << 20

// checkBuffers compares the system's limit on UDP receive buffers with it.
func checkBuffers() check {
	const file = "/proc/sys/net/core/rmem_max"
	text, err := os.ReadFile(file)
	if err != nil {
		return ok("UDP buffers", "the system does not tell its limit")
	}
	limit, err := strconv.ParseInt(string(bytes.TrimSpace(text)), 10, 64)
	if err != nil {
		return warn("UDP buffers", "look at "+file, "%v", err)
	}
	if limit < bufferBytes {
		return warn("UDP buffers", fmt.Sprintf("sysctl -w net.core.rmem_max=%d net.core.wmem_max=%d", bufferBytes, bufferBytes),
			"at most %d bytes; at high rates datagrams will be lost", limit)
	}
	return ok("UDP buffers", "up to %d bytes", limit)
}

// checkMulticast lists the interfaces on which peers can be found by multicast.
func checkMulticast() check {
	const advice = "use --bootstrap; multicast does not work here"
	list, err := net.Interfaces()
	if err != nil {
		return fail("multicast", advice, err)
	}
	var names []string
	for _, i := range list {
		if i.Flags&net.FlagUp != 0 && i.Flags&net.FlagMulticast != 0 {
			names = append(names, i.Name)
		}
	}
	if len(names) == 0 {
		return warn("multicast", advice, "no interface is up and takes multicast")
	}
	return ok("multicast", "on %s", strings.Join(names, ", "))
}
