package p2p

import (
	"context"
	"crypto/sha256"
	"fmt"
	"regexp"
	"sync"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pubsubpb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/zetagrid/zetagrid/shardmap"
)

// startGossip brings up gossipsub for all Genomes of a host. Claims carry their own
// signature, so messages carry none, name no author and are known by their hash.
func (h *Host) startGossip() (*pubsub.PubSub, error) {
	topics := regexp.MustCompile("^" + regexp.QuoteMeta(claimsPrefix))
	g, err := pubsub.NewGossipSub(h.ctx, h.host,
		pubsub.WithMessageSignaturePolicy(pubsub.StrictNoSign),
		pubsub.WithNoAuthor(),
		pubsub.WithMessageIdFn(func(m *pubsubpb.Message) string {
			sum := sha256.Sum256(m.GetData())
			return string(sum[:])
		}),
		pubsub.WithMaxMessageSize(GossipMessageBytes),
		pubsub.WithSubscriptionFilter(
			pubsub.WrapLimitSubscriptionFilter(pubsub.NewRegexpSubscriptionFilter(topics), GossipTopics)),
		pubsub.WithPeerScore(peerScore()),
		// Our own claims go to every neighbour, not to the mesh alone: a mesh takes
		// a heartbeat to form, and a node that says it serves is asked at once.
		pubsub.WithFloodPublish(true),
	)
	if err != nil {
		return nil, fmt.Errorf("gossip: %w", err)
	}
	return g, nil
}

// peerScore makes gossip turn away from peers that send what is refused: after a
// few bad claims they are not gossiped to, after a few dozen not listened to, for
// some minutes. Nothing else counts: a slow peer may still be right.
func peerScore() (*pubsub.PeerScoreParams, *pubsub.PeerScoreThresholds) {
	return &pubsub.PeerScoreParams{
			Topics:           map[string]*pubsub.TopicScoreParams{}, // filled by SetScoreParams, which does not make it
			AppSpecificScore: func(peer.ID) float64 { return 0 },
			DecayInterval:    10 * time.Second,
			DecayToZero:      0.01,
			RetainScore:      10 * time.Minute,
		}, &pubsub.PeerScoreThresholds{
			GossipThreshold:   -100,
			PublishThreshold:  -500,
			GraylistThreshold: -2500,
		}
}

// topicScore counts refused messages, squared, against their sender.
func topicScore() *pubsub.TopicScoreParams {
	return &pubsub.TopicScoreParams{
		SkipAtomicValidation:           true,
		TimeInMeshQuantum:              time.Second, // divides, whatever its weight
		TopicWeight:                    1,
		InvalidMessageDeliveriesWeight: -1,
		InvalidMessageDeliveriesDecay:  0.9,
	}
}

// claimGate decides which gossiped claims of one Genome are passed on.
type claimGate struct {
	genome string // raw bytes of the Genome CID

	mu     sync.Mutex
	second int64 // of the counts below
	heard  map[shardmap.NodeID]int
}

// validate is the topic's validator: it refuses what no honest node sends, ignores
// what is too much, and hands the decoded claim on with the message.
func (g *claimGate) validate(_ context.Context, _ peer.ID, m *pubsub.Message) pubsub.ValidationResult {
	claim, err := shardmap.Open(m.Data)
	if err != nil || claim.Genome != g.genome {
		return pubsub.ValidationReject
	}
	if !g.admit(claim.Node, time.Now().Unix()) {
		return pubsub.ValidationIgnore
	}
	m.ValidatorData = claim
	return pubsub.ValidationAccept
}

// admit counts a claim of node in the given second of the local clock and says
// whether it is within ClaimsPerNode and ClaimNodes.
func (g *claimGate) admit(node shardmap.NodeID, second int64) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if second != g.second || g.heard == nil {
		g.second, g.heard = second, make(map[shardmap.NodeID]int)
	}
	count, known := g.heard[node]
	if count >= ClaimsPerNode || (!known && len(g.heard) >= ClaimNodes) {
		return false
	}
	g.heard[node] = count + 1
	return true
}
