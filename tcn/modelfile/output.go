package modelfile

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// output is a folder in the making. It is built beside its destination under
// another name and renamed at the end, so that it appears whole or not at all.
type output struct {
	ctx      context.Context
	dir      string // destination
	temp     string // where it is built
	progress *progress
}

// Progress is told what is being written and how far: bytes of tensors, of the
// total. It is called on one goroutine, about once a megabyte.
type Progress func(doing string, done, total int64)

type progress struct {
	report      Progress // may be nil
	doing       string
	done, total int64
}

func (p *progress) add(n int) {
	p.done += int64(n)
	if p.report != nil {
		p.report(p.doing, p.done, p.total)
	}
}

// CheckOutput reports whether a model folder can be made at dir, which must be
// absent or empty: what takes long asks before it begins. Errors: ErrOutput.
func CheckOutput(dir string) error {
	if dir == "" {
		return fmt.Errorf("%w: no folder named", ErrOutput)
	}
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %w", ErrOutput, err)
	}
	if len(entries) > 0 {
		return fmt.Errorf("%w: %s exists and is not empty; name a new folder or remove it", ErrOutput, filepath.Clean(dir))
	}
	return nil
}

// newOutput starts a folder that will be dir, which must be absent or empty.
// Errors: ErrOutput.
func newOutput(ctx context.Context, dir string, report Progress) (*output, error) {
	if err := CheckOutput(dir); err != nil {
		return nil, err
	}
	dir = filepath.Clean(dir)
	parent := filepath.Dir(dir)
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrOutput, err)
	}
	temp, err := os.MkdirTemp(parent, "."+filepath.Base(dir)+".partial-")
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrOutput, err)
	}
	return &output{ctx: ctx, dir: dir, temp: temp, progress: &progress{report: report}}, nil
}

// discard removes what was built; after commit it does nothing.
func (o *output) discard() error { return os.RemoveAll(o.temp) }

// writeTensors writes one tensor file of size bytes and gives its CID. Equal
// files become one.
func (o *output) writeTensors(role Role, write func(io.Writer) error) (Link, error) {
	folder := filepath.Join(o.temp, string(role))
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return Link{}, fmt.Errorf("%w: %w", ErrOutput, err)
	}
	file, err := os.CreateTemp(folder, "new-")
	if err != nil {
		return Link{}, fmt.Errorf("%w: %w", ErrOutput, err)
	}
	dag, err := o.fill(file, write)
	if err = errors.Join(err, file.Close()); err != nil {
		return Link{}, err
	}
	if err := os.Chmod(file.Name(), 0o644); err != nil {
		return Link{}, fmt.Errorf("%w: %w", ErrOutput, err)
	}
	if err := os.Rename(file.Name(), filepath.Join(o.temp, RelativePath(role, dag.Root))); err != nil {
		return Link{}, fmt.Errorf("%w: %w", ErrOutput, err)
	}
	return dag.Root, nil
}

// fill writes file through write and finds its DAG while the bytes pass by.
func (o *output) fill(file *os.File, write func(io.Writer) error) (FileDAG, error) {
	const buffer = 1 << 20
	type result struct {
		dag FileDAG
		err error
	}
	pipeOut, pipeIn := io.Pipe()
	hashed := make(chan result, 1)
	go func() {
		dag, err := BuildFileDAG(pipeOut)
		_ = pipeOut.CloseWithError(err) // always nil
		hashed <- result{dag, err}
	}()
	buffered := bufio.NewWriterSize(&meteredWriter{out: o, w: io.MultiWriter(file, pipeIn)}, buffer)
	err := write(buffered)
	if err == nil {
		err = buffered.Flush()
	}
	if err == nil {
		err = file.Sync()
	}
	_ = pipeIn.CloseWithError(err) // always nil; nil means the end
	r := <-hashed
	if err != nil {
		return FileDAG{}, err
	}
	return r.dag, r.err
}

// meteredWriter stops when the context does and counts what passes.
type meteredWriter struct {
	out *output
	w   io.Writer
}

func (m *meteredWriter) Write(p []byte) (int, error) {
	if err := m.out.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := m.w.Write(p)
	m.out.progress.add(n)
	return n, err
}

// writeFile writes a small file whole.
func (o *output) writeFile(name string, data []byte) error {
	f, err := os.OpenFile(filepath.Join(o.temp, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrOutput, err)
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("%w: %w", ErrOutput, err)
	}
	return nil
}

// commit makes the folder appear at its destination.
func (o *output) commit() error {
	if err := o.ctx.Err(); err != nil {
		return err
	}
	if err := os.Chmod(o.temp, 0o755); err != nil {
		return fmt.Errorf("%w: %w", ErrOutput, err)
	}
	err := filepath.WalkDir(o.temp, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.IsDir() {
			return err
		}
		return syncFolder(path)
	})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrOutput, err)
	}
	// An empty destination is given up for the new one; a full one refuses.
	if err := os.Remove(o.dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %w", ErrOutput, err)
	}
	if err := os.Rename(o.temp, o.dir); err != nil {
		return fmt.Errorf("%w: %w", ErrOutput, err)
	}
	return syncFolder(filepath.Dir(o.dir))
}
