package image

// Image is an image whose layers are unpacked. It holds everything about the image that a run
// depends on.
type Image struct {
	// Digest is the digest of the manifest or index that the reference refers to.
	Digest string
	// ID is the digest of the image's configuration for the platform. The same content has
	// the same ID under any name and in any index.
	ID string
	// ChainID is the name of the snapshot of all its layers.
	ChainID string
	// Architecture is the processor that the image is for, in Go's words.
	Architecture string
	// The image's settings for the process.
	Entrypoint, Cmd, Env []string
	Cwd, User            string
}
