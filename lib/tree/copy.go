package tree

import (
	"io/fs"
	"os"
	"path/filepath"

	copying "github.com/containerd/continuity/fs"
)

// Copy copies what the directory src holds into the directory dst, which may
// hold other things already. Symbolic links are copied as they are, hard links
// among the files stay such, data is shared where copy_file_range(2) and the
// file system can. Files can be written by their owner in the copy: those of a
// committed run cannot.
//
// Nobody may change src meanwhile; what it holds is not trusted otherwise.
func Copy(dst, src string) error {
	if err := copying.CopyDir(dst, src); err != nil {
		return err
	}
	return filepath.WalkDir(dst, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		return os.Chmod(path, info.Mode().Perm()|0o200)
	})
}
