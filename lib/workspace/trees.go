package workspace

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"

	"pipex/lib/tree"
)

// treesDir is the directory of a run that lists the content of its mounts and sources.
const treesDir = "trees"

// maxTree is the greatest number of entries of a tree that is kept. Trees are kept to
// show people which files have changed; larger ones would cost more than that is worth.
const maxTree = 10_000

// KeepTrees writes lists of the trees that a run is made from to its directory, for
// [Run.Tree]. trees has them by digest. The format is that of the manifest. It leaves
// out trees that are too large, and those with special files, which a manifest cannot
// list. The files are not synced: only --explain reads them.
func (ws *Workspace) KeepTrees(r Run, trees map[string]*tree.Tree) error {
	for digest, t := range trees {
		if len(t.Entries) > maxTree {
			continue
		}
		var list bytes.Buffer
		var special *tree.SpecialError
		if err := t.WriteManifest(&list); errors.As(err, &special) {
			continue
		}
		err := os.MkdirAll(filepath.Join(r.Dir, treesDir), 0o777)
		if err == nil {
			err = os.WriteFile(r.tree(digest), list.Bytes(), 0o666)
		}
		if err != nil {
			return fmt.Errorf("cannot list the mounts and sources of run %q: %w", r.ID, err)
		}
	}
	return nil
}

func (r Run) tree(digest string) string {
	return filepath.Join(r.Dir, treesDir, filepath.Base(strings.TrimPrefix(digest, "sha256:"))+".mtree")
}

// Tree returns the tree with this digest: the artifacts of the run, or one of the trees
// that KeepTrees wrote. It returns nil if there is none.
func (r Run) Tree(digest string) *tree.Tree {
	for _, path := range []string{r.Manifest(), r.tree(digest)} {
		f, err := os.Open(path)
		if err != nil {
			continue
		}
		t, err := tree.ReadManifest(f)
		f.Close()
		if err == nil && t.Digest() == digest {
			return t
		}
	}
	return nil
}

// TreeSize returns how many bytes [Run.Tree] may read for this digest; no end of them, if one of
// its files is none.
func (r Run) TreeSize(digest string) (size int64) {
	for _, path := range []string{r.Manifest(), r.tree(digest)} {
		if info, err := os.Lstat(path); err == nil {
			if !info.Mode().IsRegular() {
				return math.MaxInt64
			}
			size += info.Size()
		}
	}
	return size
}
