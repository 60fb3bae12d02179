// Package importer makes model folders from the files that models are published
// in: a release's own (.npy Genome, .pt checkpoint, config.json), or one
// .safetensors of all weights.
//
// It is the only package that reads .npy and .pt. A node has no use for it and
// must not import it: what comes over the network is never pickle.
//
// # Laws
//
//  1. The tensors are exactly those that config.json calls for: a missing, extra
//     or misshapen one is an error that names it.
//  2. The same files give the same Model CID.
//  3. No file is held in memory whole; of the Genome, a piece of a layer is.
//
// # Limits
//
// Those of the readers npy, pt and safetensors, of modelfile for config.json and
// manifests, and of tcn for the config.
package importer
