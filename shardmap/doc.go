// Package shardmap decides who serves which Fractal Blocks, and finds chains
// through them.
package shardmap
