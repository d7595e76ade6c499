package workspace

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
)

// The form of state.json as we write it, if there is nothing but steps in it.
// @livingdata/pipex writes the same, but no line feed at the end.
const (
	stateHead = "{\n  \"steps\": {"
	entryHead = "\n    %q: {\n      \"runId\": "
	entryForm = entryHead + "%q,\n      \"fingerprint\": %q\n    }"
	entryEnd  = "\n    }"
	stepsEnd  = "\n  }"
	stateTail = stepsEnd + "\n}\n"
)

// errNotOurs says that state.json has another form.
var errNotOurs = errors.New("another form")

// patchState is the part of draftState for a file of the form in which we write it. It copies
// all entries but one as they are, since there may be ten thousand, and adds the new one at
// the end. So what is damaged in the middle of the file stays so until prune reads it.
func (ws *Workspace) patchState(step string, entry *stepState, write func(func(*os.File) error) error) error {
	f, err := os.Open(ws.path("state.json"))
	if err != nil {
		return errNotOurs
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() || info.Size() > maxState || entry != nil && !isFingerprint(entry.Fingerprint) {
		return errNotOurs
	}
	end := info.Size() - int64(len(stateTail))
	head := fmt.Sprintf(entryHead, step)
	found, err := firstOf(f, stepsEnd, head)
	if err != nil {
		return err
	}
	if found[0] != end || text(f, 0, len(stateHead)) != stateHead || text(f, end, len(stateTail)+1) != stateTail || text(f, end-1, 1) != "}" {
		return errNotOurs
	}
	from, to := end, end // is cut out
	added := ""
	if entry != nil {
		added = fmt.Sprintf(entryForm, step, entry.RunID, entry.Fingerprint)
	}
	if found[1] >= 0 {
		from = found[1]
		old, _, ok := bytes.Cut([]byte(text(f, from, len(added)+1<<10)), []byte(entryEnd))
		if !ok {
			return errNotOurs
		}
		if string(old)+entryEnd == added {
			return errSame
		}
		to = from + int64(len(old)+len(entryEnd))
		if to < end {
			to++ // the comma after it
		} else {
			from-- // the comma before it, or the brace if it is the only one
		}
	} else if entry == nil {
		return errSame
	}
	if from == int64(len(stateHead))-1 && to == end {
		return errNotOurs // no other entry is left
	}
	if entry != nil {
		added = "," + added
	}
	return write(func(out *os.File) error {
		for _, part := range [][2]int64{{0, from}, {to, end}} {
			if _, err := f.Seek(part[0], io.SeekStart); err != nil {
				return err
			}
			if _, err := io.CopyN(out, f, part[1]-part[0]); err != nil {
				return err
			}
		}
		_, err := out.WriteString(added + stateTail)
		return err
	})
}

// text returns n bytes of a file, or fewer at its end.
func text(f io.ReaderAt, at int64, n int) string {
	data := make([]byte, n)
	n, _ = f.ReadAt(data, at)
	return string(data[:n])
}

// window is how many bytes of a file are looked at together.
const window = 64 << 10

// firstOf returns where each of some texts is first in a file, or -1.
func firstOf(f io.ReaderAt, texts ...string) ([]int64, error) {
	found, longest := make([]int64, len(texts)), 0
	for i := range texts {
		found[i], longest = -1, max(longest, len(texts[i]))
	}
	data := make([]byte, window)
	for at := int64(0); ; at += int64(len(data) - longest) {
		n, err := f.ReadAt(data, at)
		for i, t := range texts {
			if found[i] < 0 {
				if j := bytes.Index(data[:n], []byte(t)); j >= 0 {
					found[i] = at + int64(j)
				}
			}
		}
		if err == io.EOF {
			return found, nil
		}
		if err != nil {
			return nil, err
		}
	}
}
