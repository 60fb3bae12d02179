package p2p

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	ds "github.com/ipfs/go-datastore"
	dssync "github.com/ipfs/go-datastore/sync"
	dht "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p-kad-dht/records"
	"github.com/libp2p/go-libp2p-kbucket/peerdiversity"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// DHTPrefix separates our DHT from every other: the protocol is
// /zetagrid/kad/1.0.0.
const DHTPrefix protocol.ID = "/zetagrid"

// newDHT starts a Kademlia DHT of provider records only. Plain dht.New sets
// neither an IP-diversity filter nor a validator, so both are set here.
//
// A node serves the DHT until it learns that others cannot reach it; bootstrap
// seeds an empty routing table.
func newDHT(h host.Host, bootstrap func() []peer.AddrInfo) (*dht.IpfsDHT, error) {
	store := dssync.MutexWrap(newBoundedStore(ProviderRecords))
	d, err := dht.New(h,
		dht.ProtocolPrefix(DHTPrefix),
		dht.Mode(dht.ModeAutoServer),
		dht.Validator(refuseValues{}),
		dht.DisableValues(),
		dht.Datastore(store),
		dht.ProviderManagerOpts(records.ProvideValidity(ProviderAge), records.ProviderAddrTTL(ProviderAge)),
		dht.RoutingTablePeerDiversityFilter(newDiversityFilter(h)),
		dht.BootstrapPeersFunc(bootstrap),
	)
	if err != nil {
		return nil, fmt.Errorf("dht: %w", err)
	}
	return d, nil
}

// errNoValues refuses every value record: the grid keeps none in the DHT, because
// the DHT is a hint and a value would be taken for a fact.
var errNoValues = errors.New("this DHT keeps no values")

// refuseValues is the validator of a DHT without values.
type refuseValues struct{}

// Validate refuses every record.
func (refuseValues) Validate(string, []byte) error { return errNoValues }

// Select refuses every set of records.
func (refuseValues) Select(string, [][]byte) (int, error) { return 0, errNoValues }

// diversityFilter is kad-dht's filter by IP group, which admits loopback and
// private addresses without counting them.
type diversityFilter struct {
	peerdiversity.PeerIPGroupFilter
}

func newDiversityFilter(h host.Host) *diversityFilter {
	return &diversityFilter{dht.NewRTPeerDiversityFilter(h, BucketPeersPerIPGroup, TablePeersPerIPGroup)}
}

// Allow admits a peer whose group is local and asks the limits about the others.
func (f *diversityFilter) Allow(g peerdiversity.PeerGroupInfo) bool {
	// The key of an IPv4 group is its network address.
	if ip := net.ParseIP(string(g.IPGroupKey)); ip != nil && (ip.IsLoopback() || ip.IsPrivate()) {
		return true
	}
	return f.PeerIPGroupFilter.Allow(g)
}

// PeerAddresses lists the addresses by which a peer is grouped. Local IPv6 has no
// group of its own, so it stands as the IPv4 network that means the same.
func (f *diversityFilter) PeerAddresses(p peer.ID) []ma.Multiaddr {
	addrs := f.PeerIPGroupFilter.PeerAddresses(p)
	for i, addr := range addrs {
		addrs[i] = localIPv6AsIPv4(addr)
	}
	return addrs
}

var loopback4, private4 = ma.StringCast("/ip4/127.0.0.1"), ma.StringCast("/ip4/10.0.0.1")

func localIPv6AsIPv4(addr ma.Multiaddr) ma.Multiaddr {
	ip, err := manet.ToIP(addr)
	switch {
	case err != nil || ip.To4() != nil:
		return addr
	case ip.IsLoopback():
		return loopback4
	case ip.IsPrivate() || ip.IsLinkLocalUnicast():
		return private4
	}
	return addr
}

// boundedStore is a datastore in memory of at most max records. When full, a new
// record replaces an arbitrary one: a flood of provider records then wears away
// others evenly and every honest one comes back when it is provided anew.
// It is not safe for concurrent use.
type boundedStore struct {
	*ds.MapDatastore
	keys map[ds.Key]struct{}
	max  int
}

func newBoundedStore(limit int) *boundedStore {
	return &boundedStore{ds.NewMapDatastore(), map[ds.Key]struct{}{}, limit}
}

// Put stores a record, in place of an arbitrary one when the store is full.
func (b *boundedStore) Put(ctx context.Context, key ds.Key, value []byte) error {
	if _, held := b.keys[key]; !held && len(b.keys) >= b.max {
		for victim := range b.keys {
			if err := b.Delete(ctx, victim); err != nil {
				return err
			}
			break
		}
	}
	b.keys[key] = struct{}{}
	return b.MapDatastore.Put(ctx, key, value)
}

// Delete removes a record.
func (b *boundedStore) Delete(ctx context.Context, key ds.Key) error {
	delete(b.keys, key)
	return b.MapDatastore.Delete(ctx, key)
}

// Batch collects writes that go through Put and Delete.
func (b *boundedStore) Batch(context.Context) (ds.Batch, error) { return ds.NewBasicBatch(b), nil }

// isGridProtocol says whether a peer that speaks id is one of ours.
func isGridProtocol(id protocol.ID) bool {
	return strings.HasPrefix(string(id), string(DHTPrefix)+"/")
}
