package workspace

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// Lookup finds the latest committed, successful run with a fingerprint, linked or
// not; it returns no id and no error if there is none.
//
// What is known of committed runs, which do not change, is kept in .pipex, so that
// looking costs one lstat(2) a run; failing to keep it is no error. The caller holds
// the workspace lock, shared, so that the run stays as long.
func (ws *Workspace) Lookup(fingerprint string) (string, error) {
	runs, err := ws.Runs()
	if err != nil {
		return "", err
	}
	known := ws.readIndex()
	index := make(map[string]indexed, len(runs))
	unknown := 0
	for _, run := range runs {
		entry, ok := indexed{}, false
		if entry.stamp, ok = stampOf(run.Dir); !ok {
			continue // pruned just now
		}
		if old, same := known[run.ID]; same && old.stamp == entry.stamp {
			entry = old
		} else {
			entry.fingerprint = run.offered()
			unknown++
		}
		index[run.ID] = entry
	}
	// A few runs are read again as fast as the index is written.
	if gone := len(known) + unknown - len(index); unknown+gone > indexSlack {
		ws.writeIndex(index)
	}
	for i := len(runs) - 1; i >= 0; i-- {
		if entry, ok := index[runs[i].ID]; ok && fingerprint != "" && entry.fingerprint == fingerprint && runs[i].offered() == fingerprint {
			return runs[i].ID, nil
		}
	}
	return "", nil
}

// offered is the fingerprint that a committed run answers to: none, if it failed or
// its record cannot be read.
func (r Run) offered() string {
	m, err := r.Meta()
	if err != nil || m.Status != Success {
		return ""
	}
	return m.Fingerprint
}

// indexed is what the index knows of a run: its directory, by inode and time of
// modification, and its fingerprint.
type indexed struct{ stamp, fingerprint string }

// indexSlack is how many changes of runs/ the index may be behind.
const indexSlack = 16

// indexHeader begins the index; a line for each run follows, id, stamp and
// fingerprint, and then the SHA-256 of all that.
const indexHeader = "pipex index 1\n"

func stampOf(dir string) (string, bool) {
	var s unix.Stat_t
	if unix.Lstat(dir, &s) != nil {
		return "", false
	}
	return fmt.Sprintf("%d:%d.%d", s.Ino, s.Mtim.Sec, s.Mtim.Nsec), true
}

func (ws *Workspace) indexPath() string { return ws.path(private, "index") }

// readIndex returns nothing of an index that is not whole.
func (ws *Workspace) readIndex() map[string]indexed {
	data, _ := os.ReadFile(ws.indexPath())
	end := len(data) - 2*sha256.Size
	if end < 0 || !bytes.HasPrefix(data, []byte(indexHeader)) || string(data[end:]) != sumOf(data[:end]) {
		return nil
	}
	known := make(map[string]indexed, bytes.Count(data, []byte("\n")))
	for line := range strings.Lines(string(data[len(indexHeader):end])) {
		fields := strings.Split(strings.TrimSuffix(line, "\n"), " ")
		if len(fields) == 3 {
			known[fields[0]] = indexed{fields[1], fields[2]}
		}
	}
	return known
}

func (ws *Workspace) writeIndex(index map[string]indexed) {
	var b bytes.Buffer
	b.WriteString(indexHeader)
	for id, entry := range index {
		if !strings.ContainsAny(entry.fingerprint, " \n") {
			fmt.Fprintf(&b, "%s %s %s\n", id, entry.stamp, entry.fingerprint)
		}
	}
	b.WriteString(sumOf(b.Bytes()))
	tmp, err := ws.Scratch(linking)
	if err != nil {
		return
	}
	if os.WriteFile(tmp, b.Bytes(), 0o666) != nil || os.Rename(tmp, ws.indexPath()) != nil {
		os.Remove(tmp)
	}
}

func sumOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
