package modelfile

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strings"
	"unicode/utf8"

	"github.com/ipfs/go-cid"
	"github.com/ipld/go-ipld-prime/codec/dagjson"
	"github.com/ipld/go-ipld-prime/node/basicnode"
	"github.com/multiformats/go-multihash"
)

// Link is a CID inside a manifest; its JSON is {"/": "CID"}.
type Link = cid.Cid

// Values every manifest carries.
const (
	KindGenome = "zetagrid/genome"
	KindSoul   = "zetagrid/soul"
	KindModel  = "zetagrid/model"
	// Version is the manifest version this package reads and writes.
	Version = 1
	// Arithmetic is the version of the exact arithmetic a Genome is meant for.
	Arithmetic = 1
)

// manifest is what the kinds share.
type manifest interface {
	Genome | Soul | Model | Shape
	validate() error
}

// encodeManifest gives m's canonical DAG-JSON and its CID.
func encodeManifest[M manifest](m M) ([]byte, cid.Cid, error) {
	if err := m.validate(); err != nil {
		return nil, cid.Undef, fmt.Errorf("%w: %w", ErrManifest, err)
	}
	return canonical(m)
}

// decodeManifest reads what encodeManifest writes and refuses anything else:
// whatever the JSON reader is lenient about (spacing, order, case, repeated
// names, other spellings of a number) does not survive being encoded again.
func decodeManifest[M manifest](data []byte) (M, error) {
	var m, none M
	if len(data) > ManifestBytes {
		return none, fmt.Errorf("%w: manifest of %d bytes, limit %d", ErrTooLarge, len(data), ManifestBytes)
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&m); err != nil {
		return none, fmt.Errorf("%w: %w", ErrManifest, err)
	}
	if err := m.validate(); err != nil {
		return none, fmt.Errorf("%w: %w", ErrManifest, err)
	}
	again, _, err := canonical(m)
	if err != nil {
		return none, err
	}
	if !bytes.Equal(data, again) {
		return none, fmt.Errorf("%w: not the canonical encoding (differs from byte %d)", ErrManifest, difference(data, again))
	}
	return m, nil
}

// canonical is the DAG-JSON of v: no spaces, names in order.
func canonical(v any) ([]byte, cid.Cid, error) {
	plain, err := json.Marshal(v)
	if err != nil {
		return nil, cid.Undef, fmt.Errorf("%w: %w", ErrManifest, err)
	}
	builder := basicnode.Prototype.Any.NewBuilder()
	if err := dagjson.Decode(builder, bytes.NewReader(plain)); err != nil {
		return nil, cid.Undef, fmt.Errorf("%w: %w", ErrManifest, err)
	}
	var out bytes.Buffer
	if err := dagjson.Encode(builder.Build(), &out); err != nil {
		return nil, cid.Undef, fmt.Errorf("%w: %w", ErrManifest, err)
	}
	if out.Len() > ManifestBytes {
		return nil, cid.Undef, fmt.Errorf("%w: manifest of %d bytes, limit %d", ErrTooLarge, out.Len(), ManifestBytes)
	}
	c, err := ManifestCID(out.Bytes())
	return out.Bytes(), c, err
}

// ManifestCID is the CID of a manifest's bytes: version 1, DAG-JSON, sha2-256.
func ManifestCID(data []byte) (cid.Cid, error) {
	return cid.NewPrefixV1(cid.DagJSON, multihash.SHA2_256).Sum(data)
}

// ManifestKind is the kind a manifest's bytes claim to be, without checking the
// rest. Errors: ErrManifest, ErrTooLarge.
func ManifestKind(data []byte) (string, error) {
	if len(data) > ManifestBytes {
		return "", fmt.Errorf("%w: manifest of %d bytes, limit %d", ErrTooLarge, len(data), ManifestBytes)
	}
	var head struct {
		Kind string `json:"kind"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return "", fmt.Errorf("%w: %w", ErrManifest, err)
	}
	switch head.Kind {
	case KindGenome, KindSoul, KindModel:
		return head.Kind, nil
	}
	return "", fmt.Errorf("%w: unknown kind %q", ErrManifest, head.Kind)
}

// difference is the first index at which a and b differ.
func difference(a, b []byte) int {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i
		}
	}
	return min(len(a), len(b))
}

func checkHead(kind, want string, version int) error {
	if kind != want {
		return fmt.Errorf("kind is %q, want %q", kind, want)
	}
	if version != Version {
		return fmt.Errorf("version is %d, want %d", version, Version)
	}
	return nil
}

// checkManifestLink accepts the CID of a manifest.
func checkManifestLink(name string, c Link) error { return checkLink(name, c, cid.DagJSON) }

// checkFileLink accepts the CID of a file: its only leaf, or the root above.
func checkFileLink(name string, c Link) error { return checkLink(name, c, cid.Raw, cid.DagProtobuf) }

func checkLink(name string, c Link, codecs ...uint64) error {
	if !c.Defined() {
		return fmt.Errorf("%s: no CID", name)
	}
	p := c.Prefix()
	if p.Version != 1 || p.MhType != multihash.SHA2_256 || p.MhLength != 32 {
		return fmt.Errorf("%s: CID %s is not version 1 with sha2-256", name, c)
	}
	for _, codec := range codecs {
		if p.Codec == codec {
			return nil
		}
	}
	return fmt.Errorf("%s: CID %s has codec %#x, want one of %#x", name, c, p.Codec, codecs)
}

func checkFileLinks(name string, links []Link) error {
	for i, c := range links {
		if err := checkFileLink(fmt.Sprintf("%s %d", name, i), c); err != nil {
			return err
		}
	}
	return nil
}

func checkProvenance(p map[string]string) error {
	if len(p) > ProvenanceEntries {
		return fmt.Errorf("%w: provenance of %d entries, limit %d", ErrTooLarge, len(p), ProvenanceEntries)
	}
	for key, value := range p {
		if err := checkText("provenance key", key, ProvenanceKeyBytes); err != nil {
			return err
		}
		// "/" alone means a link in DAG-JSON.
		if key == "" || strings.ContainsRune(key, '/') {
			return fmt.Errorf("provenance key %q is empty or holds a slash", key)
		}
		if err := checkText("provenance "+key, value, ProvenanceValueBytes); err != nil {
			return err
		}
	}
	return nil
}

func checkText(name, text string, limit int) error {
	if len(text) > limit {
		return fmt.Errorf("%w: %s of %d bytes, limit %d", ErrTooLarge, name, len(text), limit)
	}
	if !utf8.ValidString(text) {
		return fmt.Errorf("%s is not UTF-8", name)
	}
	return nil
}

func finite(v float32) bool { return !math.IsNaN(float64(v)) && !math.IsInf(float64(v), 0) }

// readAtMost reads all of r, refusing more than limit bytes.
func readAtMost(r io.Reader, limit int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("%w: more than %d bytes", ErrTooLarge, limit)
	}
	return data, nil
}
