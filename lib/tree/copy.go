package tree

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"time"

	"pipex/lib/progress"
)

// copyAtOnce is how many bytes are copied between two checks for cancellation.
const copyAtOnce = 64 << 20

// Copy copies the content of the directory src into the directory dst, which need not be empty.
// A file or symbolic link replaces one of the same name. If one of two things of the same name
// is a directory and the other is not, Copy fails.
//
// Symbolic links are copied as they are and never followed, neither in src nor in dst. Hard
// links between files stay hard links. Data is shared (reflink) if copy_file_range(2) and the
// file system support it. Owners, permissions, and times of files are kept, except that the
// owner may write to all files and directories of the copy; in a committed run nobody may.
// Extended attributes are not copied.
//
// Nobody may change src or dst during the copy. Apart from that, Copy does not trust what they
// contain. After an error dst holds a part of the copy.
func Copy(ctx context.Context, dst, src string) error {
	return (&copier{own: chown}).copy(ctx, dst, src)
}

// Export is [Copy] for somebody who takes the copy away: it belongs to the caller, who may read
// and write all of it, and the times of directories are kept, too. FIFOs, sockets and devices
// are left out.
func Export(ctx context.Context, dst, src string) error {
	return (&copier{export: true, own: func(*os.Root, *object) error { return nil }}).copy(ctx, dst, src)
}

func (c *copier) copy(ctx context.Context, dst, src string) error {
	defer progress.Begin("copying", "file").End()
	to, err := os.OpenRoot(dst)
	if err != nil {
		return err
	}
	defer to.Close()
	c.to, c.copies = to, make(map[inode]string)
	_, err = walk(ctx, src, func() visitor[struct{}] { return c.visit })
	for _, d := range c.directories {
		if err == nil {
			err = to.Chtimes(d.path, d.accessed, d.modified)
		}
	}
	return err
}

type inode struct{ dev, ino uint64 }

type copier struct {
	to          *os.Root
	export      bool
	own         func(*os.Root, *object) error // gives a copy its owner
	mu          sync.Mutex
	copies      map[inode]string // the copies of files that have several names
	directories []dirTimes       // of an export; what is copied into them changes their times
}

type dirTimes struct {
	path               string
	accessed, modified time.Time
}

func (c *copier) visit(ctx context.Context, o *object) (none struct{}, err error) {
	switch mode := fileMode(o.stat.Mode); mode.Type() {
	case fs.ModeDir:
		err = c.directory(o)
	case fs.ModeSymlink:
		err = c.link(o)
	case 0:
		err = c.file(ctx, o)
	default:
		if !c.export {
			err = fmt.Errorf("it is a %s", typeName(mode))
		}
	}
	if err != nil {
		return none, o.fail("copy", err)
	}
	return none, nil
}

func (c *copier) directory(o *object) error {
	err := c.to.Mkdir(o.path, 0o700)
	if errors.Is(err, fs.ErrExist) {
		there, err := c.to.Lstat(o.path)
		if err == nil && !there.IsDir() {
			err = errors.New("its name is taken by something that is not a directory")
		}
		return err
	}
	if err == nil {
		err = c.own(c.to, o)
	}
	if err == nil {
		err = c.to.Chmod(o.path, fileMode(o.stat.Mode).Perm()|0o700)
	}
	if err == nil && c.export {
		c.mu.Lock()
		c.directories = append(c.directories, dirTimes{o.path, time.Unix(o.stat.Atim.Unix()), time.Unix(o.stat.Mtim.Unix())})
		c.mu.Unlock()
	}
	return err
}

func (c *copier) link(o *object) error {
	target, err := o.target()
	if err == nil {
		err = c.clear(o.path)
	}
	if err == nil {
		err = c.to.Symlink(target, o.path)
	}
	if err == nil {
		err = c.own(c.to, o)
	}
	return err
}

func (c *copier) file(ctx context.Context, o *object) error {
	fd, err := o.open()
	if err != nil {
		return err
	}
	from := os.NewFile(uintptr(fd), o.path)
	defer from.Close()
	err = c.clear(o.path)
	var to *os.File
	if err == nil {
		to, err = c.create(o)
	}
	if err != nil || to == nil {
		return err
	}
	progress.Add("file", 1, 0)
	for n := int64(copyAtOnce); err == nil && n == copyAtOnce; err = errors.Join(err, ctx.Err()) {
		if n, err = io.CopyN(to, from, copyAtOnce); err == io.EOF {
			err = nil
		}
		progress.Add("file", 0, n)
	}
	if err == nil {
		err = c.own(c.to, o)
	}
	if err == nil {
		mode := fileMode(o.stat.Mode).Perm() | 0o200
		if c.export {
			mode |= 0o400
		}
		err = to.Chmod(mode)
	}
	if err = errors.Join(err, to.Close()); err == nil {
		err = c.to.Chtimes(o.path, time.Unix(o.stat.Atim.Unix()), time.Unix(o.stat.Mtim.Unix()))
	}
	return err
}

// create creates the file that o is copied to. If o is another name of a file that has been
// copied, it makes a hard link and returns nil.
func (c *copier) create(o *object) (*os.File, error) {
	if o.stat.Nlink > 1 {
		id := inode{uint64(o.stat.Dev), o.stat.Ino}
		c.mu.Lock()
		defer c.mu.Unlock()
		if name, ok := c.copies[id]; ok {
			return nil, c.to.Link(name, o.path)
		}
		c.copies[id] = o.path
	}
	return c.to.OpenFile(o.path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
}

// clear removes a file or symbolic link at path.
func (c *copier) clear(path string) error {
	there, err := c.to.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && there.IsDir() {
		err = errors.New("its name is taken by a directory")
	}
	if err == nil {
		err = c.to.Remove(path)
	}
	return err
}

// chown gives a copy the owner of the original, if this process is root.
func chown(to *os.Root, o *object) error {
	if os.Geteuid() != 0 {
		return nil
	}
	return to.Lchown(o.path, int(o.stat.Uid), int(o.stat.Gid))
}
