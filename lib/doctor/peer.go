package doctor

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// What two machines need of a file system that they share: each sees at once what the other has named, renamed and replaced, if it opens
// the directory first; a lock keeps the other out, and ends with its holder; a name is made once. The first
// machine asks, a line at a time, and the other, Answer, does as it is told in a directory of that file system.

// Shared is Filesystem for a directory that another machine sees, too: it makes checks from both. peer is a command line that runs a command
// there, such as "ssh node1"; this program must be on the PATH there. Each answer takes five seconds at most.
func Shared(ctx context.Context, dir string, peer []string) []Finding {
	findings := Filesystem(ctx, dir)
	at, err := nearest(dir)
	if err == nil {
		at, err = os.MkdirTemp(at, ".pipex-doctor-")
	}
	if err != nil {
		f := fails(elsewhere, "%v", err)
		f.Check = "shared"
		return append(findings, f)
	}
	defer os.RemoveAll(at)
	for _, c := range shared {
		other, err := call(ctx, peer, at)
		f := fails("run it there by hand: pipex-doctor --filesystem "+dir, "%v", err)
		if err == nil {
			f = c.do(&pair{at, other})
			other.end()
		}
		f.Check = c.name
		findings = append(findings, f)
		if err != nil {
			break
		}
	}
	return findings
}

// shared are the checks. For each there is a new peer, whose end the last one needs.
var shared = []struct {
	name string
	do   func(*pair) Finding
}{
	{"shared names", (*pair).names},
	{"shared renames", (*pair).renames},
	{"shared links", (*pair).links},
	{"shared claims", (*pair).claims},
	{"shared locks", (*pair).locks},
}

// other is the peer, which answers each line by one.
type other struct {
	cmd   *exec.Cmd
	to    io.WriteCloser
	lines chan string
	said  *strings.Builder
}

func call(ctx context.Context, peer []string, dir string) (*other, error) {
	args := append(peer[1:len(peer):len(peer)], "pipex-doctor", "--answer", "--filesystem", dir)
	o := &other{cmd: exec.CommandContext(ctx, peer[0], args...), lines: make(chan string), said: new(strings.Builder)}
	o.cmd.Stderr = o.said
	o.cmd.WaitDelay = time.Second
	var from io.ReadCloser
	var err error
	if o.to, err = o.cmd.StdinPipe(); err == nil {
		from, err = o.cmd.StdoutPipe()
	}
	if err == nil {
		err = o.cmd.Start()
	}
	if err != nil {
		return nil, fmt.Errorf("the other machine cannot be asked: %w", err)
	}
	go func() {
		defer close(o.lines)
		for in := bufio.NewScanner(from); in.Scan(); {
			o.lines <- in.Text()
		}
	}()
	if hello, err := o.answer(); err != nil || hello != "ready" {
		o.end()
		why, _, _ := strings.Cut(strings.TrimSpace(o.said.String()), "\n")
		return nil, fmt.Errorf("the other machine does not answer: %s", why)
	}
	return o, nil
}

func (o *other) answer() (string, error) {
	select {
	case line, ok := <-o.lines:
		if !ok {
			return "", errors.New("the other machine has ended")
		}
		return line, nil
	case <-time.After(patience):
		return "", fmt.Errorf("the other machine has not answered within %s", patience)
	}
}

// ask has the peer do something.
func (o *other) ask(words ...string) (string, error) {
	if _, err := io.WriteString(o.to, strings.Join(words, " ")+"\n"); err != nil {
		return "", err
	}
	return o.answer()
}

func (o *other) end() {
	o.to.Close()
	go func() {
		for range o.lines { // so that it can end
		}
	}()
	time.AfterFunc(patience, func() { o.cmd.Process.Kill() })
	o.cmd.Wait()
}

// pair is both machines in a directory of both.
type pair struct {
	dir string
	*other
}

func (p *pair) path(name string) string { return filepath.Join(p.dir, name) }

// local is the help for a file system that must not hold a workspace of several machines.
const local = "use another shared file system, or none: pipex-push and pipex-fetch"

// tell is the finding for an error, or for an answer that is not the wanted one.
func tell(got, want string, err error, format string, args ...any) *Finding {
	if err == nil && got == want {
		return nil
	}
	f := fails(local, format+" (%s)", append(args, or(err, got))...)
	return &f
}

func or(err error, text string) string {
	if err != nil {
		return err.Error()
	}
	return text
}

// names: the other machine sees a new file at once, also one that it has just looked for in vain.
func (p *pair) names() Finding {
	got, err := p.ask("read", "new")
	if f := tell(got, "none", err, "a file is there before it is made"); f != nil {
		return *f
	}
	if err := os.WriteFile(p.path("new"), []byte("1"), 0o666); err != nil {
		return fails(local, "%v", err)
	}
	got, err = p.ask("read", "new")
	if f := tell(got, "1", err, "a new file is not seen by the other machine at once"); f != nil {
		return *f
	}
	return ok("a new file is seen by the other machine at once")
}

// renames: a directory that is renamed, and a file that is replaced, are seen at once, whole.
func (p *pair) renames() Finding {
	for i, content := range []string{"1", "2", "3"} {
		tmp := p.path("tmp")
		err := os.WriteFile(tmp, []byte(content), 0o666)
		if err == nil {
			err = os.Rename(tmp, p.path("record"))
		}
		if err != nil {
			return fails(local, "%v", err)
		}
		got, err := p.ask("read", "record")
		if f := tell(got, content, err, "a file that was replaced for the %d. time is not seen by the other machine at once", i+1); f != nil {
			return *f
		}
	}
	err := os.Mkdir(p.path("draft"), 0o777)
	if err == nil {
		err = os.WriteFile(filepath.Join(p.path("draft"), "f"), []byte("x"), 0o666)
	}
	if err == nil {
		err = os.Rename(p.path("draft"), p.path("run"))
	}
	if err != nil {
		return fails(local, "%v", err)
	}
	got, err := p.ask("read", "run/f")
	if f := tell(got, "x", err, "a directory that was renamed is not seen by the other machine at once"); f != nil {
		return *f
	}
	return ok("what is renamed is seen by the other machine at once")
}

// links: a symbolic link that is replaced may be seen late: only people look at a step's link.
func (p *pair) links() Finding {
	const late = 10 * time.Second
	for _, target := range []string{"one", "two"} {
		if err := os.Symlink(target, p.path("l.tmp")); err != nil {
			return fails(local, "%v", err)
		}
		if err := os.Rename(p.path("l.tmp"), p.path("l")); err != nil {
			return fails(local, "%v", err)
		}
		if target == "one" {
			p.ask("link", "l")
		}
	}
	began := time.Now()
	for {
		got, err := p.ask("link", "l")
		took := time.Since(began)
		switch {
		case err != nil:
			return fails(local, "%v", err)
		case got == "two" && took < time.Second:
			return ok("a link that was replaced is seen by the other machine at once")
		case got == "two":
			return warning("let one machine run make; the others only execute", "a link that was replaced is seen by the other machine after %s", took.Round(100*time.Millisecond))
		case took > late:
			return fails(local, "a link that was replaced is not seen by the other machine within %s (%s)", late, got)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// claims: of two machines that make a directory, exactly one succeeds.
func (p *pair) claims() Finding {
	const many = 200
	if err := os.Mkdir(p.path("claims"), 0o777); err != nil {
		return fails(local, "%v", err)
	}
	theirs := make(chan string, 1)
	var failed error
	go func() {
		got, err := p.ask("claim", "claims", fmt.Sprint(many))
		failed = err
		theirs <- got
	}()
	ours := claim(p.path("claims"), many)
	got := <-theirs
	if failed != nil {
		return fails(local, "%v", failed)
	}
	if len(got) != many {
		return fails(local, "the other machine could not make directories (%s)", got)
	}
	for i := range many {
		if (ours[i] == '1') == (got[i] == '1') {
			return fails(local, "a directory was made by both machines, or by none: %d of %d", i, many)
		}
	}
	return ok("of two machines that make a directory, one succeeds")
}

// claim makes so many directories, and returns 1 for each that it has made, or 0.
func claim(dir string, many int) string {
	won := make([]byte, many)
	for i := range won {
		won[i] = '0'
		if os.Mkdir(filepath.Join(dir, fmt.Sprint(i)), 0o777) == nil {
			won[i] = '1'
		}
	}
	return string(won)
}

// locks: a lock keeps the other machine out, and ends with the process that has it.
func (p *pair) locks() Finding {
	f, err := os.OpenFile(p.path("lock"), os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return fails(local, "%v", err)
	}
	defer f.Close()
	const help = "mount it with locks, for NFS without nolock and local_lock"
	if err := lockByte(f, unix.F_WRLCK); err != nil {
		return fails(help, "files cannot be locked: %v", err)
	}
	if got, err := p.ask("lock", "lock"); err != nil || got != "held" {
		return fails(help, "a lock here does not keep the other machine out (%s)", or(err, got))
	}
	if err := lockByte(f, unix.F_UNLCK); err != nil {
		return fails(help, "a lock cannot be released: %v", err)
	}
	if got, err := p.ask("lock", "lock"); err != nil || got != "taken" {
		return fails(help, "a lock that was released here is still held for the other machine (%s)", or(err, got))
	}
	if lockByte(f, unix.F_WRLCK) == nil {
		return fails(help, "a lock of the other machine keeps nobody out here")
	}
	p.end()
	for end := time.Now().Add(patience); lockByte(f, unix.F_WRLCK) != nil; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			return fails(help, "a lock of a process that has ended on the other machine is still held after %s", patience)
		}
	}
	return ok("a lock keeps the other machine out, and ends with its holder")
}

func lockByte(f *os.File, kind int16) error {
	return unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: kind, Len: 1})
}

// Answer does what Shared on another machine asks for, until in ends. It touches nothing but the directory dir, which that one
// has made.
func Answer(dir string, in io.Reader, out io.Writer) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	fmt.Fprintln(out, "ready")
	var locks []*os.File
	defer func() {
		for _, f := range locks {
			f.Close()
		}
	}()
	for lines := bufio.NewScanner(in); lines.Scan(); {
		words := strings.Fields(lines.Text())
		if len(words) < 2 {
			return errors.New("a question is not understood; is it of another version of pipex-doctor?")
		}
		// As the workspace does: open the directory, then look up.
		if d, err := root.Open(filepath.Dir(words[1])); err == nil {
			d.Close()
		}
		answer := "?"
		switch words[0] {
		case "read":
			answer = said(root.ReadFile(words[1]))
		case "link":
			to, err := root.Readlink(words[1])
			answer = said([]byte(to), err)
		case "claim":
			many := 0
			fmt.Sscan(words[len(words)-1], &many)
			answer = claim(filepath.Join(dir, filepath.Base(words[1])), min(max(many, 0), 10_000))
		case "lock":
			f, err := root.OpenFile(words[1], os.O_RDWR, 0)
			if err == nil {
				locks = append(locks, f)
				err = lockByte(f, unix.F_WRLCK)
			}
			switch {
			case err == nil:
				answer = "taken"
			case errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES):
				answer = "held"
			default:
				answer = err.Error()
			}
		}
		if _, err := fmt.Fprintln(out, answer); err != nil {
			return err
		}
	}
	return nil
}

func said(data []byte, err error) string {
	if errors.Is(err, fs.ErrNotExist) {
		return "none"
	}
	if err != nil {
		return err.Error()
	}
	return string(data)
}
