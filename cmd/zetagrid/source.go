package main

import (
	"context"
	"errors"

	"github.com/zetagrid/zetagrid/node"
	"github.com/zetagrid/zetagrid/node/api"
	"github.com/zetagrid/zetagrid/node/session"
)

// source is what a prompt can be given to: a node in this process, or the API
// of a running one.
type source interface {
	Generate(ctx context.Context, r session.Request) (api.Stream, error)
	Close() error
}

// apiSource is a running node.
type apiSource struct{ client *api.Client }

func (a apiSource) Generate(ctx context.Context, r session.Request) (api.Stream, error) {
	return a.client.Complete(ctx, r)
}

func (apiSource) Close() error { return nil }

// localSource is a grid of one in this process.
type localSource struct {
	*node.Node
	kernels string // instruction level of the processor, or the device
	done    func() // frees the device
}

func (l localSource) Generate(ctx context.Context, r session.Request) (api.Stream, error) {
	generation, err := l.Node.Generate(ctx, r)
	if err != nil {
		return nil, err // a nil *Generation would be a stream that is not nil
	}
	return generation, nil
}

func (l localSource) Close() error {
	err := l.Node.Close()
	l.done()
	return err
}

// startLocal starts a grid of one: no host, no API, every block of the model.
func startLocal(ctx context.Context, s *streams, model, data string, device deviceFlags) (localSource, error) {
	folder, err := dataFolder(data)
	if err != nil && (data != "" || model == "") {
		return localSource{}, err
	}
	// Without a place of its own, a grid of one does with a temporary folder.
	model, err = modelOrDefault(s, model, folder)
	if err != nil {
		return localSource{}, err
	}
	compute, done, err := device.compute()
	if err != nil {
		return localSource{}, err
	}
	open, err := device.opener(compute, 1)
	if err != nil {
		done()
		return localSource{}, err
	}
	n, err := node.Start(ctx, node.Options{Data: folder, Model: model, Memory: -1, Offline: true, Compute: compute, Open: open})
	if err != nil {
		done()
		return localSource{}, err
	}
	l := localSource{n, compute.Kernels.Name, done}
	if open != nil {
		l.kernels = n.Status().Device.Name
	}
	select {
	case <-n.Ready():
		return l, nil
	case <-n.Done():
		if err := l.Close(); err != nil {
			return localSource{}, err
		}
		return localSource{}, errors.New("the node ended before it was ready")
	case <-ctx.Done():
		return localSource{}, errors.Join(context.Cause(ctx), l.Close())
	}
}
