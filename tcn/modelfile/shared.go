package modelfile

import (
	"io"
	"os"
	"sync"

	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/modelfile/safetensors"
)

// tileUse is what makes two uses of a tile's file the same: the path and what
// the config makes of the bytes. Blocks of equally many layers have equal tiles
// in equal files, whichever blocks they are.
type tileUse struct {
	path                      string
	cell                      tcn.Cell
	weights                   tcn.Weights
	dModel, dFF, taps, layers int
}

// sharedTile is a mapped tile. All blocks of a process that have it share it, so
// that a model of many copies takes the memory of one.
type sharedTile struct {
	use  tileUse
	info os.FileInfo // of the file when it was opened
	open sync.Once   // sets the next three
	file *safetensors.File
	tile *tcn.Block
	err  error

	users int // guarded by sharedTiles
}

var sharedTiles struct {
	sync.Mutex
	byUse map[tileUse]*sharedTile
}

// shareTile opens the tile of a block, or joins those who have it open. The
// block must be one of c, which must be valid. Errors: as OpenTile.
func shareTile(path string, c tcn.Config, block int) (*tcn.Block, io.Closer, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, nil, err
	}
	s := joinTile(tileUse{path, c.Cell, c.Weights, c.DModel, c.DFF, c.KernelSize, blockLayers(c, block)}, info)
	s.open.Do(func() { s.file, s.tile, s.err = openTile(path, c, block) })
	user := &tileUser{tile: s}
	if s.err != nil {
		_ = user.Close() // there is no file
		return nil, nil, s.err
	}
	return s.tile, user, nil
}

// joinTile adds a user to the tile of a use, if it is still of the same file, or
// to a new one.
func joinTile(use tileUse, info os.FileInfo) *sharedTile {
	sharedTiles.Lock()
	defer sharedTiles.Unlock()
	s := sharedTiles.byUse[use]
	if s == nil || !os.SameFile(s.info, info) || s.info.Size() != info.Size() || !s.info.ModTime().Equal(info.ModTime()) {
		s = &sharedTile{use: use, info: info}
		if sharedTiles.byUse == nil {
			sharedTiles.byUse = map[tileUse]*sharedTile{}
		}
		sharedTiles.byUse[use] = s
	}
	s.users++
	return s
}

// tileUser is one use of a sharedTile.
type tileUser struct {
	once sync.Once
	tile *sharedTile
}

// Close gives the use back; the last one unmaps the file.
func (u *tileUser) Close() (err error) {
	u.once.Do(func() {
		sharedTiles.Lock()
		defer sharedTiles.Unlock()
		u.tile.users--
		if u.tile.users > 0 {
			return
		}
		if sharedTiles.byUse[u.tile.use] == u.tile {
			delete(sharedTiles.byUse, u.tile.use)
		}
		if u.tile.file != nil {
			err = u.tile.file.Close()
		}
	})
	return err
}
