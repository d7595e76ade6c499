// Package crate writes runs as a Workflow Run RO-Crate: a directory with their artifacts, logs
// and records, and a file that describes them in JSON-LD.
//
// It follows RO-Crate 1.1 (https://w3id.org/ro/crate/1.1) and the profiles Process Run Crate,
// Workflow Run Crate and Provenance Run Crate 0.5 (https://w3id.org/ro/wfrun/). What the records
// do not know is left out.
package crate

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"pipex/lib/provenance"
	"pipex/lib/tree"
	"pipex/lib/workspace"
)

// MetadataFile is the name of the file that describes a crate.
const MetadataFile = "ro-crate-metadata.json"

// Options are what the runs do not say.
type Options struct {
	// Name is the crate's title.
	Name string
	// License is the URL of a licence; empty if none is known.
	License string
	// Workflow describes the runs as one execution of a workflow, not as runs that may have
	// nothing to do with each other.
	Workflow bool
}

// Check returns an error that wraps [workspace.ErrRunning] or [workspace.ErrNotCommitted] if a crate cannot have the run: its
// record must be readable, and its command have ended.
func Check(n *provenance.Node) error {
	switch {
	case n.Meta == nil:
		return fmt.Errorf("run %q is %s", n.ID, n.Status)
	case n.Meta.Status == workspace.Running:
		return fmt.Errorf("run %q is %w; export it when it has ended", n.ID, workspace.ErrRunning)
	case n.Meta.FinishedAt == nil:
		return fmt.Errorf("run %q is %w: nothing has run yet", n.ID, workspace.ErrNotCommitted)
	}
	return nil
}

// Write fills the empty directory dir. All nodes pass [Check], each after its inputs. The same runs give the
// same bytes.
//
// Nothing in the crate refers to a file outside: of the symbolic links, only those to a file of
// the same artifacts are kept. The error wraps [workspace.ErrDamaged] if artifacts are not as
// they were committed.
func Write(ctx context.Context, dir string, nodes []*provenance.Node, o Options) error {
	c := newGraph(nodes, o)
	for _, n := range nodes {
		if err := c.copy(ctx, dir, n); err != nil {
			return err
		}
		c.run(n)
	}
	if o.Workflow {
		if err := c.workflow(dir); err != nil {
			return err
		}
	}
	f, err := os.OpenFile(filepath.Join(dir, MetadataFile), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return err
	}
	defer f.Close()
	out := json.NewEncoder(f)
	out.SetEscapeHTML(false)
	out.SetIndent("", "  ")
	if err := out.Encode(c.document()); err != nil {
		return err
	}
	return f.Close()
}

// The directory of a run in the crate is called by its id, and has what it has in the workspace.
func runDir(n *provenance.Node) string      { return id(n.ID) + "/" }
func artifactsID(n *provenance.Node) string { return runDir(n) + "artifacts/" }

// id returns the URI path of a path in the crate.
func id(path string) string {
	words := strings.Split(path, "/")
	for i := range words {
		words[i] = url.PathEscape(words[i])
	}
	return strings.Join(words, "/")
}

// copy copies a run's files into the crate, and describes them.
func (c *graph) copy(ctx context.Context, dir string, n *provenance.Node) error {
	to := filepath.Join(dir, n.ID)
	artifacts := filepath.Join(to, "artifacts")
	if err := os.MkdirAll(artifacts, 0o777); err != nil {
		return err
	}
	if err := tree.Export(ctx, artifacts, n.Run.Artifacts()); err != nil {
		return fmt.Errorf("run %q: %w", n.ID, err)
	}
	content, err := tree.Scan(ctx, artifacts)
	if err != nil {
		return err
	}
	if err := n.Run.Compare(n.Meta, content); n.Committed && err != nil {
		return err
	}
	results, err := c.files(artifacts, artifactsID(n), content)
	if err != nil {
		return err
	}
	parts := []string{artifactsID(n)}
	c.add(entity{"@id": artifactsID(n), "@type": "Dataset", "name": "What " + title(n) + " has written", "hasPart": refs(results)})
	for _, file := range []struct{ name, from, about string }{
		{"meta.json", filepath.Join(n.Run.Dir, "meta.json"), "The record of the run, see pipex-meta(5)"},
		{"stdout.log", n.Run.Stdout(), "What its commands have printed"},
		{"stderr.log", n.Run.Stderr(), "What its commands have printed as errors"},
	} {
		size, sum, err := copyFile(filepath.Join(to, file.name), file.from)
		if errors.Is(err, fs.ErrNotExist) { // of another tool
			continue
		}
		if err != nil {
			return fmt.Errorf("run %q: %w", n.ID, err)
		}
		e := fileEntity(runDir(n)+file.name, file.name, size, sum)
		e["description"], e["about"] = file.about, ref(actionID(n))
		c.add(e)
		parts = append(parts, runDir(n)+file.name)
	}
	c.add(entity{"@id": runDir(n), "@type": "Dataset", "name": "Run " + n.ID, "hasPart": refs(parts)})
	return nil
}

// files describes the files of a directory, and removes the symbolic links that lead out of it or
// to no file. It returns their ids.
func (c *graph) files(dir, prefix string, content *tree.Tree) (ids []string, err error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	for _, e := range content.Entries {
		size, sum := e.Size, hex.EncodeToString(e.Sum[:])
		switch e.Mode.Type() {
		case 0:
		case fs.ModeSymlink:
			if size, sum, err = digestIn(root, e.Path); err != nil {
				if err := root.Remove(e.Path); err != nil {
					return nil, err
				}
				continue
			}
		default:
			continue
		}
		c.add(fileEntity(prefix+id(e.Path), strings.ToValidUTF8(e.Path, "\uFFFD"), size, sum))
		ids = append(ids, prefix+id(e.Path))
	}
	return ids, nil
}

// digestIn reads the regular file that a link in root leads to. Root refuses those that lead out.
func digestIn(root *os.Root, path string) (size int64, sum string, err error) {
	info, err := root.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		err = fs.ErrInvalid
	}
	if err != nil {
		return 0, "", err
	}
	f, err := root.Open(path)
	if err != nil {
		return 0, "", err
	}
	defer f.Close()
	h := sha256.New()
	size, err = io.Copy(h, f)
	return size, hex.EncodeToString(h.Sum(nil)), err
}

// copyFile copies a file of pipex's own, which a step cannot write to.
func copyFile(to, from string) (size int64, sum string, err error) {
	in, err := os.Open(from)
	if err != nil {
		return 0, "", err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return 0, "", err
	}
	defer out.Close()
	h := sha256.New()
	if size, err = io.Copy(io.MultiWriter(out, h), in); err == nil {
		err = out.Close()
	}
	return size, hex.EncodeToString(h.Sum(nil)), err
}

func fileEntity(id, name string, size int64, sum string) entity {
	e := entity{"@id": id, "@type": "File", "name": name, "contentSize": fmt.Sprint(size), "sha256": sum}
	if format := formats[strings.ToLower(path.Ext(name))]; format != "" {
		e["encodingFormat"] = format
	}
	return e
}

// formats are media types by the ends of names: those that say the same everywhere.
var formats = map[string]string{
	".csv": "text/csv", ".tsv": "text/tab-separated-values", ".txt": "text/plain", ".log": "text/plain", ".md": "text/markdown",
	".html": "text/html", ".xml": "application/xml", ".json": "application/json", ".jsonl": "application/jsonl", ".geojson": "application/geo+json",
	".yaml": "application/yaml", ".yml": "application/yaml", ".pdf": "application/pdf",
	".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".gif": "image/gif", ".svg": "image/svg+xml", ".tif": "image/tiff", ".tiff": "image/tiff", ".webp": "image/webp",
	".gz": "application/gzip", ".zip": "application/zip", ".tar": "application/x-tar", ".zst": "application/zstd", ".parquet": "application/vnd.apache.parquet",
	".sqlite": "application/vnd.sqlite3", ".wasm": "application/wasm",
}

// sortedKeys returns the keys of m in the order of their bytes.
func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
