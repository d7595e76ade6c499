package main

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/sys/unix"
)

// maxSlots is the greatest number of slots of a host.
const maxSlots = 256

// aside is how long a host that has not answered is left alone.
const aside = time.Minute

// pool is the hosts, and a directory of this user's on this machine that all pipex-ssh share:
//
//	HOST.slots  a byte for each slot, locked (F_OFD_SETLK, fcntl(2)) by the pipex-ssh that uses it; the byte
//	            connecting is locked while one opens a connection
//	HOST.cpus   how many processors the host has
//	HOST.aside  since when the host is set aside: the file's time
//	HOST.N      ssh's control socket of connection N
//
// The kernel frees a slot when its holder dies.
type pool struct {
	dir   string
	hosts []*host
}

type host struct {
	named
	dir string
	in  *os.File // HOST.slots
}

// connecting is the byte of HOST.slots that is locked while a connection is opened.
const connecting = maxSlots

func openPool() (*pool, error) {
	all, err := names()
	if err != nil {
		return nil, err
	}
	dir := os.Getenv("XDG_RUNTIME_DIR")
	if dir == "" {
		dir = os.TempDir()
	}
	name := "pipex-ssh-" + strconv.Itoa(os.Getuid())
	if ssh := os.Getenv("PIPEX_SSH"); ssh != "" { // with other options a name may be another host
		sum := sha256.Sum256([]byte(ssh))
		name += "-" + hex.EncodeToString(sum[:4])
	}
	p := &pool{dir: filepath.Join(dir, name)}
	if err := os.Mkdir(p.dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	var info unix.Stat_t
	if err := unix.Lstat(p.dir, &info); err != nil || info.Mode != unix.S_IFDIR|0o700 || info.Uid != uint32(os.Getuid()) {
		return nil, fmt.Errorf("%q is not a directory that only you can use; remove it, or set XDG_RUNTIME_DIR", p.dir)
	}
	for _, n := range all {
		if slices.ContainsFunc(p.hosts, func(h *host) bool { return h.name == n.name }) {
			continue
		}
		h := &host{named: n, dir: p.dir}
		if h.in, err = os.OpenFile(h.file("slots"), os.O_RDWR|os.O_CREATE, 0o600); err != nil {
			return nil, err
		}
		p.hosts = append(p.hosts, h)
	}
	return p, nil
}

func (h *host) file(suffix string) string { return filepath.Join(h.dir, h.name+"."+suffix) }

// lock locks a byte of HOST.slots, and waits for it if wait is set.
func (h *host) lock(at int64, wait bool) bool {
	command := unix.F_OFD_SETLK
	if wait {
		command = unix.F_OFD_SETLKW
	}
	return unix.FcntlFlock(h.in.Fd(), command, &unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart, Start: at, Len: 1}) == nil
}

func (h *host) unlock(at int64) {
	unix.FcntlFlock(h.in.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_UNLCK, Whence: io.SeekStart, Start: at, Len: 1})
}

// used returns which slots others use.
func (h *host) used() (all []int) {
	for i := range h.size() {
		l := unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart, Start: int64(i), Len: 1}
		if unix.FcntlFlock(h.in.Fd(), unix.F_OFD_GETLK, &l) == nil && l.Type != unix.F_UNLCK {
			all = append(all, i)
		}
	}
	return all
}

// size returns the number of slots; 1 if it is not known yet how many processors the host has.
func (h *host) size() int {
	if h.slots > 0 {
		return h.slots
	}
	data, _ := os.ReadFile(h.file("cpus"))
	n, _ := strconv.Atoi(strings.TrimSpace(string(data)))
	return min(max(n, 1), maxSlots)
}

// isAside reports whether the host is set aside.
func (h *host) isAside() bool {
	info, err := os.Lstat(h.file("aside"))
	return err == nil && time.Since(info.ModTime()) < aside && time.Since(info.ModTime()) > -aside
}

// setAside sets the host aside.
func (h *host) setAside(why error) {
	say("warning: host %q is set aside for %s: %v", h.name, aside, why)
	os.Remove(h.file("aside"))
	os.WriteFile(h.file("aside"), nil, 0o600)
}

// errNone says that no host answers.
var errNone = errors.New("no host answers")

// take takes a slot of the least loaded host, and waits until one is free.
func (p *pool) take() (*host, int, error) {
	for pause := 5 * time.Millisecond; ; pause = min(2*pause, 100*time.Millisecond) {
		type load struct {
			of    *host
			used  []int
			share float64
		}
		var loads []load
		for _, h := range p.hosts {
			if !h.isAside() {
				used := h.used()
				loads = append(loads, load{h, used, float64(len(used)) / float64(h.size())})
			}
		}
		if len(loads) == 0 {
			return nil, 0, errNone
		}
		rand.Shuffle(len(loads), func(i, j int) { loads[i], loads[j] = loads[j], loads[i] })
		slices.SortStableFunc(loads, func(a, b load) int { return cmp.Compare(a.share, b.share) })
		for _, l := range loads {
			for i := range l.of.size() {
				if !slices.Contains(l.used, i) && l.of.lock(int64(i), false) {
					return l.of, i, nil
				}
			}
		}
		time.Sleep(pause/2 + rand.N(pause))
	}
}

// print prints the hosts.
func (p *pool) print(to io.Writer) error {
	table := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	for _, h := range p.hosts {
		state := ""
		if h.isAside() {
			state = "\tset aside: it did not answer"
		}
		fmt.Fprintf(table, "%s\t%d/%d%s\n", h.name, len(h.used()), h.size(), state)
	}
	return table.Flush()
}
