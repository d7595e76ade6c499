package tree

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"golang.org/x/sys/unix"
)

// manifestHeader is the first line, by which readers of mtree(5) recognize the format.
const manifestHeader = "#mtree\n"

// maxLine is the greatest length of a line, in bytes: a path with each byte quoted and encoded, a
// target with each byte encoded, and the keywords.
const maxLine = 8*maxPath + 4*unix.PathMax + 256

// WriteManifest writes the tree in the format of mtree(5), so that it can be verified without
// pipex: mtree -f MANIFEST -p DIR.
//
//	#mtree
//	. type=dir mode=0755
//	./bin type=dir mode=0755
//	./bin/tool type=file mode=0555 size=5 sha256=2cf24dba5fb0a3...
//	./latest type=link link=bin/tool
//	# sha256:9f86d081884c7d659a2fea...
//
// In names and targets, # and \ and bytes that are not printable ASCII characters are written as \
// and three octal digits (vis(3)). mtree treats names as patterns, so ? * [ in names are quoted.
// The last line is a comment with the tree's digest; a manifest without it is incomplete. The
// same tree always gives the same bytes.
//
// For a tree with a FIFO, a socket or a device the error is a [*SpecialError]. mtree itself
// accepts only trees whose root is a directory, and confuses names such as \* and * if a
// directory has both.
func (t *Tree) WriteManifest(w io.Writer) error {
	out := bufio.NewWriter(w)
	out.WriteString(manifestHeader)
	var line []byte
	for i := range t.Entries {
		e := &t.Entries[i]
		if e.Mode.Type()&^(fs.ModeDir|fs.ModeSymlink) != 0 {
			return &SpecialError{Path: e.Path, Type: e.Mode.Type()}
		}
		line = appendLine(line[:0], e)
		out.Write(line)
	}
	fmt.Fprintf(out, "# %s\n", t.Digest())
	return out.Flush()
}

// appendLine writes an entry as a line, newline included.
func appendLine(b []byte, e *Entry) []byte {
	b = append(b, '.')
	if e.Path != "." {
		for name := range strings.SplitSeq(e.Path, "/") {
			b = encodeName(append(b, '/'), name)
		}
	}
	b = fmt.Appendf(b, " type=%s", typeName(e.Mode))
	switch {
	case e.Mode.IsRegular():
		b = fmt.Appendf(b, " mode=%04o size=%d sha256=%x", chmodBits(e.Mode), e.Size, e.Sum[:])
	case e.Mode.IsDir():
		b = fmt.Appendf(b, " mode=%04o", chmodBits(e.Mode))
	default: // a link's permissions mean nothing and differ between systems
		b = encodeText(append(b, " link="...), e.Link)
	}
	return append(b, '\n')
}

// ReadManifest reads what [Tree.WriteManifest] has written, and nothing else: for what it accepts,
// WriteManifest writes the same bytes again. It refuses a manifest that is cut short, that names a
// path twice, outside the root or below something that is not a directory, or whose digest does
// not match its entries. The error names the line. The memory that it uses is proportional to
// what it has read, plus one line.
func ReadManifest(r io.Reader) (*Tree, error) {
	p := parser{in: bufio.NewReaderSize(r, maxLine), directories: map[string]bool{}}
	t, err := p.parse()
	if err != nil {
		return nil, fmt.Errorf("manifest, line %d: %w", p.number, err)
	}
	return t, nil
}

// parser reads a manifest line by line.
type parser struct {
	in          *bufio.Reader
	number      int
	tree        Tree
	directories map[string]bool
}

// next returns a line, newline included.
func (p *parser) next() (string, error) {
	p.number++
	line, err := p.in.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		err = errors.New("too long")
	case err == io.EOF:
		err = errors.New("cut short")
	}
	return string(line), err
}

func (p *parser) parse() (*Tree, error) {
	line, err := p.next()
	if err == nil && line != manifestHeader {
		err = errors.New(`no "#mtree" line`)
	}
	for err == nil {
		if line, err = p.next(); err != nil || line[0] == '#' {
			break
		}
		err = p.add(line)
	}
	if err == nil && line != "# "+p.tree.Digest()+"\n" {
		err = errors.New("the digest does not match the entries")
	}
	if err != nil {
		return nil, err
	}
	p.number++
	if _, err := p.in.ReadByte(); err != io.EOF {
		return nil, errors.New("text after the digest")
	}
	return &p.tree, nil
}

// add reads an entry and puts it into the tree.
func (p *parser) add(line string) error {
	e, err := parseLine(strings.TrimSuffix(line, "\n"))
	if err != nil {
		return err
	}
	// This refuses whatever else the parser accepts, such as a sum that is cut short.
	if string(appendLine(nil, &e)) != line {
		return errForm
	}
	parent := "."
	if slash := strings.LastIndexByte(e.Path, '/'); slash >= 0 {
		parent = e.Path[:slash]
	}
	switch n := len(p.tree.Entries); {
	case n == 0 && e.Path != ".":
		return errors.New("the first entry is not the root")
	case n > 0 && !p.directories[parent]:
		return errors.New("its parent is not a directory")
	case n > 0 && comparePaths(p.tree.Entries[n-1].Path, e.Path) >= 0:
		return errors.New("out of order")
	}
	if e.Mode.IsDir() {
		p.directories[e.Path] = true
	}
	p.tree.Entries = append(p.tree.Entries, e)
	return nil
}

var errForm = errors.New("not an entry as pipex writes it")

// parseLine reads an entry. It also accepts some forms that appendLine does not write; add refuses
// those.
func parseLine(line string) (e Entry, err error) {
	path, rest, _ := strings.Cut(line, " ")
	if e.Path, err = parsePath(path); err != nil {
		return e, err
	}
	kind, value, _ := strings.Cut(rest, " ")
	var bits uint32
	var sum []byte
	switch kind {
	case "type=dir":
		_, err = fmt.Sscanf(value, "mode=%o", &bits)
		e.Mode = fs.ModeDir
	case "type=file":
		_, err = fmt.Sscanf(value, "mode=%o size=%d sha256=%x", &bits, &e.Size, &sum)
		copy(e.Sum[:], sum)
	case "type=link":
		e.Mode = fs.ModeSymlink | 0o777
		e.Link, err = decodeText(strings.TrimPrefix(value, "link="))
		if e.Link == "" || strings.IndexByte(e.Link, 0) >= 0 {
			err = errForm
		}
	default:
		err = errForm
	}
	if err != nil || e.Size < 0 {
		return e, errForm
	}
	e.Mode |= fileMode(bits)
	return e, nil
}

// parsePath accepts only paths below the root.
func parsePath(text string) (string, error) {
	if text == "." {
		return text, nil
	}
	rest, ok := strings.CutPrefix(text, "./")
	if !ok {
		return "", errors.New("path does not begin with ./")
	}
	names := strings.Split(rest, "/")
	for i := range names {
		name, err := decodeName(names[i])
		if err != nil {
			return "", err
		}
		if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\x00") {
			return "", fmt.Errorf("%q cannot be a name", name)
		}
		names[i] = name
	}
	return strings.Join(names, "/"), nil
}
