//go:build !unix

package modelfile

// syncFolder does nothing where folders cannot be synced.
func syncFolder(string) error { return nil }
