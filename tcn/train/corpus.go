package train

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/eval"
)

// Text is one file of a corpus.
type Text struct {
	Name string
	Data []byte
}

// Origin is where a part of a corpus comes from, for the record.
type Origin struct {
	Name   string `json:"name"`
	Bytes  int    `json:"bytes"`
	SHA256 string `json:"sha256"`
	Use    string `json:"use"` // "split" or "held-out"
}

// Corpus is what a model learns from, and what is held out to measure it by.
type Corpus struct {
	train   []byte
	heldOut []byte
	origins []Origin
	digest  string
}

// NewCorpus joins texts in their order. Without heldOut texts, what the rule
// holds out of the joined texts is; otherwise all of texts is trained on. Errors:
// [ErrCorpus] when there is nothing to train on.
func NewCorpus(texts, heldOut []Text, rule eval.SplitRule) (*Corpus, error) {
	c := &Corpus{}
	var joined []byte
	for _, t := range texts {
		joined = append(joined, t.Data...)
		c.origins = append(c.origins, originOf(t, "split"))
	}
	sum := sha256.Sum256(joined)
	c.train, c.digest = joined, hex.EncodeToString(sum[:])
	if len(heldOut) == 0 {
		if rule.ChunkBytes < 1 || rule.Every < 2 {
			return nil, fmt.Errorf("%w: the split holds out one of %d chunks of %d bytes", ErrCorpus, rule.Every, rule.ChunkBytes)
		}
		c.train, c.heldOut = rule.Split(joined)
	}
	for _, t := range heldOut {
		c.heldOut = append(c.heldOut, t.Data...)
		c.origins = append(c.origins, originOf(t, "held-out"))
	}
	if len(c.train) < 2 {
		return nil, fmt.Errorf("%w: %d bytes to train on", ErrCorpus, len(c.train))
	}
	return c, nil
}

func originOf(t Text, use string) Origin {
	sum := sha256.Sum256(t.Data)
	return Origin{Name: t.Name, Bytes: len(t.Data), SHA256: hex.EncodeToString(sum[:]), Use: use}
}

// Origins lists the texts.
func (c *Corpus) Origins() []Origin { return c.origins }

// SHA256 is the digest of the joined texts, before they were split.
func (c *Corpus) SHA256() string { return c.digest }

// TrainBytes and HeldOutBytes are the sizes of the two parts.
func (c *Corpus) TrainBytes() int   { return len(c.train) }
func (c *Corpus) HeldOutBytes() int { return len(c.heldOut) }

// check reports an [ErrCorpus] unless a sequence and the byte after it fit.
func (c *Corpus) check(sequence int) error {
	if len(c.train) <= sequence {
		return fmt.Errorf("%w: %d bytes to train on, for sequences of %d and a byte", ErrCorpus, len(c.train), sequence)
	}
	return nil
}

// batch gives sequences from places that (seed, at) decides, and the byte after
// each of their bytes.
//
//	text, next [count, sequence]
func (c *Corpus) batch(seed, at uint64, count, sequence int) (text, next []byte) {
	start := tcn.Hash64(tcn.Hash64(seed, drawWindow), at)
	places := uint64(len(c.train) - sequence)
	for i := range count {
		lo := int(tcn.Hash64(start, uint64(i)) % places)
		text = append(text, c.train[lo:lo+sequence]...)
		next = append(next, c.train[lo+1:lo+1+sequence]...)
	}
	return text, next
}
