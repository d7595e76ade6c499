package image

// Image is an image whose layers are unpacked: everything about it that a run
// depends on, and nothing that can change.
type Image struct {
	// Digest names the manifest or index that the reference stood for.
	Digest string
	// ID is the digest of the image's configuration for this platform: the
	// same content has the same ID whatever it was called or packed into.
	ID string
	// ChainID names the snapshot of all its layers.
	ChainID string
	// What the image says of the process.
	Entrypoint, Cmd, Env []string
	Cwd, User            string
}
