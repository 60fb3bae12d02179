package node

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/ipfs/go-cid"
	"golang.org/x/sync/errgroup"

	"github.com/zetagrid/zetagrid/node/content"
	"github.com/zetagrid/zetagrid/node/session"
	"github.com/zetagrid/zetagrid/node/wire"
	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/modelfile"
)

// library resolves manifests and files of one Genome through the content store.
type library struct {
	store     *content.Store
	model     modelfile.Model
	modelCID  cid.Cid
	genome    modelfile.Genome
	genomeCID cid.Cid
	config    tcn.Config
}

// openLibrary reads the Model that ref names, a folder or a CID, and its Genome.
// A CID is looked for until ctx ends.
func openLibrary(ctx context.Context, store *content.Store, ref string) (*library, error) {
	l := &library{store: store}
	if c, err := cid.Decode(ref); err == nil {
		l.modelCID = c
	} else {
		folder, err := modelfile.OpenFolder(ref)
		if err != nil {
			return nil, fmt.Errorf("model %s: %w", ref, err)
		}
		if err := store.AddFolder(ctx, folder); err != nil {
			return nil, fmt.Errorf("model %s: %w", ref, err)
		}
		_, l.modelCID = folder.Model()
	}
	data, err := store.Manifest(ctx, l.modelCID)
	if err != nil {
		return nil, fmt.Errorf("model %s: %w", l.modelCID, err)
	}
	if l.model, err = modelfile.DecodeModel(data); err != nil {
		return nil, fmt.Errorf("model %s: %w", l.modelCID, err)
	}
	l.genomeCID = l.model.Genome
	if data, err = store.Manifest(ctx, l.genomeCID); err != nil {
		return nil, fmt.Errorf("genome of model %s: %w", l.modelCID, err)
	}
	if l.genome, err = modelfile.DecodeGenome(data); err != nil {
		return nil, fmt.Errorf("genome %s: %w", l.genomeCID, err)
	}
	l.config = l.genome.Config
	return l, l.model.Fits(l.genome, l.genomeCID)
}

// tileBytes bounds the file of one block: its numbers, headers and padding.
func (l *library) tileBytes() int64 {
	size, err := modelfile.TileBytes(l.config, 0)
	if err != nil { // more tensors than a file can hold: there is none to wait for
		return fileSlack
	}
	return size + fileSlack
}

// blockBytes is what one block takes on a device with memory of its own.
func (l *library) blockBytes() int64 { return max(1, l.tileBytes()-fileSlack) }

// distinctTiles is how many tiles the Genome is made of.
func (l *library) distinctTiles() int {
	distinct := make(map[cid.Cid]struct{}, len(l.genome.Tiles))
	for _, tile := range l.genome.Tiles {
		distinct[tile] = struct{}{}
	}
	return len(distinct)
}

// smallBytes bounds a small parameter file, soulBytes a Soul's slice of a block,
// endsBytes the ends.
func (l *library) smallBytes() int64 {
	return int64(l.config.LayersPerBlock)*4*int64(l.config.DModel+16) + fileSlack
}

func (l *library) soulBytes(rank int) int64 {
	perLayer := 4 * int64(rank) * (2*int64(l.config.DModel) + 3*int64(l.config.DFF))
	most := perLayer * int64(l.config.LayersPerBlock)
	if rows8, err := modelfile.SoulBytesQ8(l.config, 0, rank); err == nil { // larger at low ranks
		most = max(most, rows8)
	}
	return most + fileSlack
}

func (l *library) endsBytes() int64 {
	return 4*int64(l.config.DModel)*int64(tcn.VocabSize+l.config.MaxPositions+1) + fileSlack
}

// ends fetches and reads the ends of the Model.
func (l *library) ends(ctx context.Context) (*tcn.Ends, error) {
	path, err := l.store.File(ctx, l.model.Ends, l.endsBytes(), nil)
	if err != nil {
		return nil, fmt.Errorf("ends: %w", err)
	}
	return modelfile.LoadEnds(path, l.config)
}

// tiles fetches and maps the tiles of a range; progress, which may be nil, hears
// of what is fetched of all of them. The closers are to be closed
// when the blocks are no longer used.
func (l *library) tiles(ctx context.Context, r tcn.Range, progress content.Progress) ([]*tcn.Block, []io.Closer, error) {
	blocks := make([]*tcn.Block, r.Len())
	closers := make([]io.Closer, r.Len())
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(tilesFetched)
	files := newArriving(len(blocks), l.blockBytes(), progress)
	for i := range blocks {
		group.Go(func() error {
			path, err := l.store.File(ctx, l.genome.Tiles[r.Lo+i], l.tileBytes(), files.file(i))
			if err != nil {
				return fmt.Errorf("tile of block %d: %w", r.Lo+i, err)
			}
			files.here(i)
			blocks[i], closers[i], err = modelfile.OpenTile(path, l.config, r.Lo+i)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, nil, closeAll(closers, err)
	}
	return blocks, closers, nil
}

func closeAll(closers []io.Closer, err error) error {
	for _, c := range closers {
		if c != nil {
			_ = c.Close() // mapped memory of a read-only file
		}
	}
	return err
}

// variants loads and shares what sessions add to the Genome: small parameters
// and Souls, by (Model, Soul, range).
type variants struct {
	library *library
	loading sync.WaitGroup

	mu    sync.Mutex
	held  map[variantKey]*variantEntry
	order []variantKey // oldest use first
}

type variantKey struct {
	model, soul string // CID bytes
	blocks      tcn.Range
}

// variantEntry is loaded once for all who want it, while any of them waits; its
// maps live until nobody uses them.
type variantEntry struct {
	loaded  chan struct{} // closed when the next three are set
	variant *tcn.Variant
	closers []io.Closer
	err     error

	cancel  context.CancelFunc // of the loading
	users   int                // those who wait, too
	evicted bool               // not in held any more
}

func newVariants(l *library) *variants {
	return &variants{library: l, held: map[variantKey]*variantEntry{}}
}

// get returns the variant and a function that gives it back. The error wraps a
// *session.Refusal.
func (v *variants) get(ctx context.Context, model, soul []byte, blocks tcn.Range) (*tcn.Variant, func(), error) {
	key := variantKey{string(model), string(soul), blocks}
	entry := v.join(key)
	select {
	case <-entry.loaded:
	case <-ctx.Done():
		v.release(key, entry)
		return nil, nil, &session.Refusal{Code: wire.CodeClosing, Text: ctx.Err().Error()}
	}
	if entry.err != nil {
		v.release(key, entry)
		return nil, nil, entry.err
	}
	return entry.variant, func() { v.release(key, entry) }, nil
}

// join adds a user to the entry of key, which begins to load with the first.
func (v *variants) join(key variantKey) *variantEntry {
	v.mu.Lock()
	defer v.mu.Unlock()
	entry := v.held[key]
	if entry == nil {
		entry = &variantEntry{loaded: make(chan struct{})}
		v.held[key] = entry
		v.launch(key, entry)
	}
	entry.users++
	v.touch(key)
	return entry
}

// launch loads an entry, until nobody waits for it any more.
func (v *variants) launch(key variantKey, entry *variantEntry) {
	ctx, cancel := context.WithTimeout(context.Background(), variantTimeout)
	entry.cancel = cancel
	v.loading.Go(func() {
		defer cancel()
		variant, closers, err := v.load(ctx, key)
		v.mu.Lock()
		defer v.mu.Unlock()
		entry.variant, entry.closers, entry.err = variant, closers, err
		close(entry.loaded)
		if err != nil { // the next try is fresh
			v.evict(key, entry)
		}
		entry.closeUnused()
	})
}

// isLoaded reports whether the loading has ended.
func (e *variantEntry) isLoaded() bool {
	select {
	case <-e.loaded:
		return true
	default:
		return false
	}
}

// closeUnused frees what nobody uses nor can find. The caller holds the lock.
func (e *variantEntry) closeUnused() {
	if e.users == 0 && e.evicted && e.isLoaded() {
		_ = closeAll(e.closers, nil)
		e.closers = nil
	}
}

// touch marks key as used last and evicts the longest unused past the limit.
// The caller holds the lock.
func (v *variants) touch(key variantKey) {
	v.order = append(slices.DeleteFunc(v.order, func(k variantKey) bool { return k == key }), key)
	for len(v.order) > variantsPerNode {
		v.evict(v.order[0], v.held[v.order[0]])
	}
}

// evict forgets an entry, unless another has taken its place. The caller holds
// the lock.
func (v *variants) evict(key variantKey, entry *variantEntry) {
	if v.held[key] != entry {
		return
	}
	delete(v.held, key)
	v.order = slices.DeleteFunc(v.order, func(k variantKey) bool { return k == key })
	entry.evicted = true
	entry.closeUnused()
}

// release takes a user from an entry; the last to leave ends its loading.
func (v *variants) release(key variantKey, entry *variantEntry) {
	v.mu.Lock()
	defer v.mu.Unlock()
	entry.users--
	if entry.users == 0 && !entry.isLoaded() {
		entry.cancel()
		v.evict(key, entry)
	}
	entry.closeUnused()
}

// close forgets everything; no session may be open any more.
func (v *variants) close() {
	v.loading.Wait()
	v.mu.Lock()
	defer v.mu.Unlock()
	for len(v.order) > 0 {
		v.evict(v.order[0], v.held[v.order[0]])
	}
}

// refused is a refusal with its cause, which this node alone learns.
type refused struct {
	*session.Refusal
	cause error
}

func refuseFor(code wire.Code, cause error) error {
	return refused{&session.Refusal{Code: code, Text: cause.Error()}, cause}
}

func (r refused) Unwrap() []error { return []error{r.Refusal, r.cause} }

// load fetches the manifests and slices of one variant.
func (v *variants) load(ctx context.Context, key variantKey) (*tcn.Variant, []io.Closer, error) {
	l := v.library
	model, err := v.modelManifest(ctx, key.model)
	if err != nil {
		return nil, nil, refuseFor(wire.CodeUnknownModel, err)
	}
	variant := &tcn.Variant{Range: key.blocks}
	for b := key.blocks.Lo; b < key.blocks.Hi; b++ {
		path, err := l.store.File(ctx, model.Small[b], l.smallBytes(), nil)
		if err != nil {
			return nil, nil, refuseFor(wire.CodeUnknownModel, err)
		}
		small, err := modelfile.LoadSmall(path, l.config, b)
		if err != nil {
			return nil, nil, refuseFor(wire.CodeUnknownModel, err)
		}
		variant.Small = append(variant.Small, small)
	}
	if key.soul == "" {
		return variant, nil, nil
	}
	term, closers, err := v.soulTerm(ctx, key)
	if err != nil {
		return nil, nil, refuseFor(wire.CodeUnknownSoul, closeAll(closers, err))
	}
	variant.Souls = []tcn.SoulTerm{term}
	return variant, closers, nil
}

// modelManifest is the node's own Model, or another of the same Genome.
func (v *variants) modelManifest(ctx context.Context, name string) (modelfile.Model, error) {
	if name == string(v.library.modelCID.Bytes()) {
		return v.library.model, nil
	}
	c, err := cid.Cast([]byte(name))
	if err != nil {
		return modelfile.Model{}, err
	}
	data, err := v.library.store.Manifest(ctx, c)
	if err != nil {
		return modelfile.Model{}, err
	}
	model, err := modelfile.DecodeModel(data)
	if err != nil {
		return modelfile.Model{}, err
	}
	return model, model.Fits(v.library.genome, v.library.genomeCID)
}

// soulTerm fetches a Soul's slices for the range.
func (v *variants) soulTerm(ctx context.Context, key variantKey) (tcn.SoulTerm, []io.Closer, error) {
	l := v.library
	c, err := cid.Cast([]byte(key.soul))
	if err != nil {
		return tcn.SoulTerm{}, nil, err
	}
	data, err := l.store.Manifest(ctx, c)
	if err != nil {
		return tcn.SoulTerm{}, nil, err
	}
	soul, err := modelfile.DecodeSoul(data)
	if err != nil {
		return tcn.SoulTerm{}, nil, err
	}
	if err := soul.Fits(l.genome, l.genomeCID); err != nil {
		return tcn.SoulTerm{}, nil, err
	}
	if len(soul.Sum) > 0 || len(soul.Small) > 0 || soul.Ends != nil {
		return tcn.SoulTerm{}, nil, fmt.Errorf("soul %s is a sum or brings its own small parameters or ends, which this version does not serve", c)
	}
	term := tcn.SoulTerm{Weight: 1}
	var closers []io.Closer
	for b := key.blocks.Lo; b < key.blocks.Hi; b++ {
		path, err := l.store.File(ctx, soul.Slices[b], l.soulBytes(soul.Rank), nil)
		if err != nil {
			return tcn.SoulTerm{}, closers, err
		}
		slice, closer, err := modelfile.OpenSoulSlice(path, l.config, b, soul.Rank)
		if err != nil {
			return tcn.SoulTerm{}, closers, err
		}
		closers = append(closers, closer)
		term.Slices = append(term.Slices, slice)
	}
	return term, closers, nil
}
