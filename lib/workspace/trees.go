package workspace

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"pipex/lib/tree"
)

// treesDir is where a run keeps what its mounts and sources held.
const treesDir = "trees"

// maxTree is how many entries a tree may have to be kept: what it is for is to tell
// people what has changed, and nobody reads so many names.
const maxTree = 10_000

// KeepTrees writes beside a run what the trees that it was made from, by their
// digests, hold: for [Run.Tree], and in the form of its manifest. Trees that are too
// large, or that have no manifest since they hold special files, are left out.
// Nothing else depends on what is kept, so it is not synced.
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
			return fmt.Errorf("cannot keep what run %q was made from: %w", r.ID, err)
		}
	}
	return nil
}

func (r Run) tree(digest string) string {
	return filepath.Join(r.Dir, treesDir, filepath.Base(strings.TrimPrefix(digest, "sha256:"))+".mtree")
}

// Tree is the tree with that digest that the run was made from, or that its artifacts
// are; nil if it was not kept.
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
