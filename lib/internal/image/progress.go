package image

// Progress is the progress of a pull.
type Progress struct {
	Ref string
	// The number of layers known so far, and of those that are here.
	Layers, LayersDone int
	// The number of bytes that are here, of Total.
	Bytes, Total int64
	// Done says that this is the last report, Failed that the pull failed.
	Done, Failed bool
}
