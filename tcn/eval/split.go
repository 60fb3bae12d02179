package eval

// The fixed split: of every SplitEvery chunks of SplitChunkBytes, the last is
// held out. 16 KiB is four sequences, so that none crosses a seam; one chunk in
// 50 leaves 98 % to train on.
const (
	SplitChunkBytes = 16 << 10
	SplitEvery      = 50
)

// SplitRule cuts a text into what may be trained on and what is held out. The
// zero value is not valid; see [DefaultSplit].
type SplitRule struct {
	ChunkBytes int // at least 1
	Every      int // the last of every so many chunks is held out; at least 2
}

// DefaultSplit is the fixed split.
var DefaultSplit = SplitRule{ChunkBytes: SplitChunkBytes, Every: SplitEvery}

// Split is the fixed split of a text; of several files, joined in the order
// they are named. A text of less than 49 chunks, 784 KiB, has nothing held out.
func Split(text []byte) (train, heldOut []byte) { return DefaultSplit.Split(text) }

// Split cuts text by the rule. Both parts are copies, in the order of the text.
func (r SplitRule) Split(text []byte) (train, heldOut []byte) {
	for i := 0; len(text) > 0; i++ {
		n := min(r.ChunkBytes, len(text))
		if i%r.Every == r.Every-1 {
			heldOut = append(heldOut, text[:n]...)
		} else {
			train = append(train, text[:n]...)
		}
		text = text[n:]
	}
	return train, heldOut
}

// Sample is n sequences of a length from all over a text, in its order: as many
// bytes of what was trained on as are held out. A text of fewer is all there is.
func Sample(text []byte, n, length int) []byte {
	if n < 1 || n*length >= len(text) {
		return text
	}
	sample := make([]byte, 0, n*length)
	for i := range n {
		at := int(int64(len(text)-length) * int64(i) / int64(max(n-1, 1)))
		sample = append(sample, text[at:at+length]...)
	}
	return sample
}
