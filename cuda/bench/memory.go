package bench

import (
	"context"
	"time"

	"github.com/zetagrid/zetagrid/cuda"
	"github.com/zetagrid/zetagrid/cuda/device"
	"github.com/zetagrid/zetagrid/cuda/kernels"
	"github.com/zetagrid/zetagrid/tcn/bench"
)

// Memory is a device that only reads its own memory: the ceiling of what something
// else computes on the same GPU, through a context of its own.
type Memory struct{ device loaded }

// OpenMemory takes bytes of d's memory to read, but no more than half of what is
// free, and lets the device find out how it reads fastest. d is the Memory's until
// Close. Errors: those of the device; d is then still the caller's.
func OpenMemory(d device.Device, bytes int64) (m *Memory, err error) {
	const least = 1 << 10
	bytes = max(least, min(bytes, d.Info().Free/2))
	m = &Memory{loaded{device: observe(d), needs: cuda.Needs{Weights: bytes}}}
	if m.device.kernels, err = kernels.Load(d); err != nil {
		return nil, err
	}
	if m.device.stream, err = m.device.device.NewStream(); err != nil {
		return nil, err
	}
	if err := m.device.readied(); err != nil {
		return nil, err
	}
	return m, nil
}

// Beside measures work that reads bytes of weights beside a read of the device's
// memory. Work times itself. Errors: the context's, those of work and of the device.
func (m *Memory) Beside(ctx context.Context, name string, rounds int, bytes int64, work func() (time.Duration, error)) (bench.Figure, error) {
	f, err := bench.Pair{
		Work: work, WorkAmount: float64(bytes) / 1e9,
		Ceiling: m.device.readAll, CeilingAmount: float64(m.device.read.bytes) / 1e9,
	}.Beside(ctx, rounds)
	f.Name, f.Unit, f.Beside, f.Processors = name, "GB/s", "read of the device", m.device.device.Info().Multiprocessors
	return f, err
}

// Close closes the device.
func (m *Memory) Close() error { return m.device.close() }
