package modelfile

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/ipfs/go-cid"
)

// Names in a model folder.
const (
	ModelFile  = "model.json"
	GenomeFile = "genome.json"
	SoulFile   = "soul.json"
	// CIDFile holds the Model CID and, on a second line, the digest in it as
	// `sha256sum model.json` prints it, so that damage to model.json and damage
	// to CIDFile can be told apart.
	CIDFile = "model.cid"
)

// Role is what a file is for.
type Role string

// The roles; each is also the name of its subfolder.
const (
	RoleTile  Role = "tiles"
	RoleSmall Role = "small"
	RoleSoul  Role = "soul"
	RoleEnds  Role = "ends"
)

// RelativePath is where a model folder keeps the file c of a role.
func RelativePath(role Role, c cid.Cid) string {
	return filepath.Join(string(role), c.String()+".safetensors")
}

// FileRef is one tensor file of a model folder.
type FileRef struct {
	CID  cid.Cid
	Path string // relative to the folder
	Role Role
}

// Folder is a model folder whose manifests have been read and checked. Its
// files have not: see Verify. It is immutable and safe for concurrent use.
type Folder struct {
	dir       string
	model     Model
	genome    Genome
	soul      *Soul
	cid       cid.Cid
	manifests map[cid.Cid][]byte
	files     []FileRef
	paths     map[cid.Cid]string
}

// FileError says which file of a model folder an error is about.
type FileError struct {
	Path string // relative to the folder
	Err  error
}

func (e *FileError) Error() string { return e.Path + ": " + e.Err.Error() }

// Unwrap gives the error without the path.
func (e *FileError) Unwrap() error { return e.Err }

// OpenFolder reads and checks the manifests in dir and how they fit together.
// The tensor files need not be there yet. Errors come as FileError: ErrFolder
// for a file that is missing or cannot be read, ErrCorrupt, ErrManifest,
// ErrTooLarge; ErrShapeOnly for a folder that InitShape made.
func OpenFolder(dir string) (*Folder, error) {
	f := &Folder{dir: dir, manifests: make(map[cid.Cid][]byte), paths: make(map[cid.Cid]string)}
	var err error
	if f.cid, err = readCIDFile(filepath.Join(dir, CIDFile)); err != nil {
		return nil, shapeOnly(dir, err)
	}
	if f.model, err = readManifest(f, ModelFile, f.cid, DecodeModel); err != nil {
		return nil, err
	}
	if f.genome, err = readManifest(f, GenomeFile, f.model.Genome, DecodeGenome); err != nil {
		return nil, err
	}
	if err := f.model.Fits(f.genome, f.model.Genome); err != nil {
		return nil, &FileError{Path: ModelFile, Err: err}
	}
	if f.model.Soul != nil {
		soul, err := readManifest(f, SoulFile, *f.model.Soul, DecodeSoul)
		if err != nil {
			return nil, err
		}
		if err := soul.Fits(f.genome, f.model.Genome); err != nil {
			return nil, &FileError{Path: SoulFile, Err: err}
		}
		f.soul = &soul
	}
	f.listFiles()
	return f, nil
}

// readManifest reads one manifest file of f and records its bytes.
func readManifest[M manifest](f *Folder, name string, want cid.Cid, decode func([]byte) (M, error)) (M, error) {
	var none M
	data, err := readFileAtMost(filepath.Join(f.dir, name), ManifestBytes)
	if err != nil {
		return none, &FileError{Path: name, Err: fmt.Errorf("%w: %w", ErrFolder, err)}
	}
	got, err := ManifestCID(data)
	if err != nil {
		return none, err
	}
	if got != want {
		return none, &FileError{Path: name, Err: fmt.Errorf("%w: it is %s, want %s", ErrCorrupt, got, want)}
	}
	m, err := decode(data)
	if err != nil {
		return none, &FileError{Path: name, Err: err}
	}
	f.manifests[got] = data
	return m, nil
}

// listFiles names every tensor file once, in the order a reader would want them.
func (f *Folder) listFiles() {
	add := func(role Role, c cid.Cid) {
		if _, known := f.paths[c]; known {
			return
		}
		path := RelativePath(role, c)
		f.paths[c] = filepath.Join(f.dir, path)
		f.files = append(f.files, FileRef{CID: c, Path: path, Role: role})
	}
	add(RoleEnds, f.model.Ends)
	for _, c := range f.model.Small {
		add(RoleSmall, c)
	}
	for _, c := range f.genome.Tiles {
		add(RoleTile, c)
	}
	if f.soul == nil {
		return
	}
	for _, c := range f.soul.Slices {
		add(RoleSoul, c)
	}
	for _, c := range f.soul.Small {
		add(RoleSmall, c)
	}
	if f.soul.Ends != nil {
		add(RoleEnds, *f.soul.Ends)
	}
}

// Dir is the folder's path.
func (f *Folder) Dir() string { return f.dir }

// Model is the Model manifest and its CID.
func (f *Folder) Model() (Model, cid.Cid) { return f.model, f.cid }

// Genome is the Genome manifest and its CID.
func (f *Folder) Genome() (Genome, cid.Cid) { return f.genome, f.model.Genome }

// Soul is the default Soul's manifest and CID; ok is false when there is none.
func (f *Folder) Soul() (s Soul, c cid.Cid, ok bool) {
	if f.soul == nil {
		return Soul{}, cid.Undef, false
	}
	return *f.soul, *f.model.Soul, true
}

// Manifest is the bytes of the folder's manifest c. They must not be changed.
func (f *Folder) Manifest(c cid.Cid) (data []byte, ok bool) {
	data, ok = f.manifests[c]
	return data, ok
}

// Path is where the tensor file c belongs, whether or not it is there; ok is
// false when no manifest of the folder names c.
func (f *Folder) Path(c cid.Cid) (path string, ok bool) {
	path, ok = f.paths[c]
	return path, ok
}

// Files lists the tensor files the manifests name, each once.
func (f *Folder) Files() []FileRef { return append([]FileRef(nil), f.files...) }

// encodeCIDFile is the content of CIDFile.
func encodeCIDFile(c cid.Cid) []byte {
	digest := c.Hash()[len(c.Hash())-sha256.Size:]
	return []byte(c.String() + "\n" + hex.EncodeToString(digest) + "\n")
}

func readCIDFile(path string) (cid.Cid, error) {
	const most = 512
	data, err := readFileAtMost(path, most)
	if err != nil {
		return cid.Undef, &FileError{Path: CIDFile, Err: fmt.Errorf("%w: %w", ErrFolder, err)}
	}
	line, _, _ := strings.Cut(string(data), "\n")
	c, err := cid.Decode(line)
	if err == nil {
		err = checkManifestLink("model", c)
	}
	if err == nil && string(encodeCIDFile(c)) != string(data) {
		err = errors.New("its two lines do not agree")
	}
	if err != nil {
		return cid.Undef, &FileError{Path: CIDFile, Err: fmt.Errorf("%w: %w", ErrCorrupt, err)}
	}
	return c, nil
}

// readFileAtMost reads a regular file of at most limit bytes.
func readFileAtMost(path string, limit int64) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, &fs.PathError{Op: "read", Path: path, Err: errors.New("not a regular file")}
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // read only
	return readAtMost(f, limit)
}
