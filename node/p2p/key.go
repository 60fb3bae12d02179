package p2p

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/crypto/pb"

	"github.com/zetagrid/zetagrid/node/internal/atomicfile"
)

// KeyFile is the name of the identity's file in the data folder: the protobuf
// form of a libp2p private key, readable by its owner only.
const KeyFile = "peer.key"

// ErrKeyType refuses an identity that is not Ed25519. Other types cost a
// stranger's handshake more (CVE-2023-39533) and do not fit a peer ID inline.
var ErrKeyType = errors.New("identity is not an Ed25519 key")

// LoadKey returns the Ed25519 identity kept in dir, which it creates, folder and
// key, on first use.
//
// It fails with ErrKeyType when the file holds another kind of key; a file that
// cannot be read is never replaced, because a node's claims and reputation hang
// on its key.
func LoadKey(dir string) (crypto.PrivKey, error) {
	path := filepath.Join(dir, KeyFile)
	data, err := readFileMax(path, KeyFileBytes)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return createKey(path)
	case err != nil:
		return nil, fmt.Errorf("identity: %w", err)
	}
	key, err := crypto.UnmarshalPrivateKey(data)
	if err != nil {
		return nil, fmt.Errorf("identity %s: %w", path, err)
	}
	if key.Type() != pb.KeyType_Ed25519 {
		return nil, fmt.Errorf("identity %s holds a %s key: %w", path, key.Type(), ErrKeyType)
	}
	return key, nil
}

func createKey(path string) (crypto.PrivKey, error) {
	key, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("identity: %w", err)
	}
	data, err := crypto.MarshalPrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("identity: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("identity: %w", err)
	}
	if err := atomicfile.Write(path, data, 0o600); err != nil {
		return nil, fmt.Errorf("identity: %w", err)
	}
	return key, nil
}
