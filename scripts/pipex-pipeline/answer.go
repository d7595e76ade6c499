package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"pipex/lib/workspace"
)

// An answer are the rules of a Makefile all of whose steps were up to date, with all that was
// looked at to find that out. If the next make says the same, and all that was looked at is
// unchanged, the rules are the same: no line is parsed, and no record read. An answer that is
// missing, damaged, of another version or out of date costs only time.
//
// On disk it is answerHeader, the SHA-256 sum of the rest, and the rest: texts that end with a
// zero byte. These are the question, the tally and the rules, and then three for each thing that
// was looked at: its kind, its name and what was seen.
type answer struct {
	question string // a digest of all that make and the environment say
	tally    string // the file of the tally in the rules, which is a new one each time
	rules    string
	seen     []sight
}

const answerHeader = "pipex answer 1\n"

// sight is a thing that was looked at.
type sight struct{ kind, name, saw string }

// The kinds of sights.
const (
	sawFile   = "file"   // by its path: what lstat(2) said
	sawBehind = "behind" // the same of what a symbolic link leads to
	sawHost   = "host"   // a host path: the digest of its content
	sawImage  = "image"  // by its name: its digest in containerd
)

// sights are what a looker has looked at.
type sights struct {
	mu    sync.Mutex
	since int64 // in seconds; a file that was changed later may change again unnoticed
	seen  map[sight]bool
	// incomplete says that something cannot be compared later.
	incomplete bool
}

// settled is how long a file must have been left alone, in seconds; see [tree.Cache].
const settled = 2

func newSights() *sights {
	return &sights{since: time.Now().Unix() - settled, seen: map[sight]bool{}}
}

func (s *sights) add(kind, name, saw string) {
	if s != nil {
		s.mu.Lock()
		s.seen[sight{kind, name, saw}] = true
		s.mu.Unlock()
	}
}

// giveUp says that there can be no answer.
func (s *sights) giveUp() {
	if s != nil {
		s.mu.Lock()
		s.incomplete = true
		s.mu.Unlock()
	}
}

// file notes a file that will be read next.
func (s *sights) file(path string) { s.mark(sawFile, path, workspace.Mark) }

// behind notes a file that an option names and that will be read next, maybe through a link.
func (s *sights) behind(path string) {
	switch path {
	case "":
	case "-": // standard input
		s.giveUp()
	default:
		s.mark(sawBehind, path, workspace.MarkBehind)
	}
}

func (s *sights) mark(kind, path string, mark func(string) (string, int64, error)) {
	if s == nil {
		return
	}
	saw, changed, err := mark(path)
	if err != nil || changed >= s.since {
		s.giveUp()
	}
	s.add(kind, path, saw)
}

// question is a digest of all that rules depend on and that is not looked at as a file: this
// program, the directory, the environment, and what pipex.mk has told.
func question(m *makefile, l *looker) (string, error) {
	self, _, err := workspace.MarkBehind("/proc/self/exe")
	if err != nil {
		return "", err
	}
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	environment := os.Environ()
	for i, v := range environment {
		if strings.HasPrefix(v, "MAKEFLAGS=") || strings.HasPrefix(v, "MFLAGS=") {
			environment[i] = jobserver().ReplaceAllString(v, "") // a new one for each make
		}
	}
	slices.Sort(environment)
	h := sha256.New()
	for _, text := range append(environment, self, dir, l.place.Workdir, l.place.Workspace) {
		fmt.Fprintf(h, "%d %s\n", len(text), text)
	}
	h.Write(m.text)
	return fmt.Sprintf("%x", h.Sum(nil)), nil
}

var jobserver = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(` ?--jobserver-(auth|fds)=\S+`) })

// answered returns the rules that were the answer to a question last time, if they would be now.
func (l *looker) answered(question, tally string) (rules string, ok bool) {
	if l.ws == nil {
		return "", false
	}
	data, err := l.ws.Answer(question)
	if err != nil {
		return "", false
	}
	a, ok := decodeAnswer(data)
	if !ok || a.question != question || !l.unchanged(a.seen) {
		return "", false
	}
	return strings.ReplaceAll(a.rules, a.tally, tally), true
}

// unchanged tells whether all is as it was seen.
func (l *looker) unchanged(seen []sight) bool {
	changed := errors.New("changed")
	g, ctx := errgroup.WithContext(l.ctx)
	files := make([]sight, 0, len(seen))
	for _, s := range seen {
		switch s.kind {
		case sawHost: // takes longest, so it begins first
			g.Go(func() error {
				if digest, _ := l.hash(s.name); digest != s.saw {
					return changed
				}
				return nil
			})
		case sawImage:
			g.Go(func() error {
				if l.images().Of(s.name) != s.saw {
					return changed
				}
				return nil
			})
		default:
			files = append(files, s)
		}
	}
	var next atomic.Int64
	const atOnce = 64
	for range runtime.GOMAXPROCS(0) {
		g.Go(func() error {
			for ctx.Err() == nil {
				from := int(next.Add(atOnce)) - atOnce
				if from >= len(files) {
					return nil
				}
				for _, s := range files[from:min(from+atOnce, len(files))] {
					mark := workspace.Mark
					if s.kind == sawBehind {
						mark = workspace.MarkBehind
					}
					if saw, _, err := mark(s.name); err != nil || saw != s.saw {
						return changed
					}
				}
			}
			return context.Cause(ctx)
		})
	}
	return g.Wait() == nil
}

// keep keeps the answer to a question, unless something that was looked at cannot be compared
// later. If it cannot be written, the next make takes longer.
func (l *looker) keep(question, tally, rules string) {
	if l.ws == nil || l.sights.incomplete {
		return
	}
	a := answer{question: question, tally: tally, rules: rules}
	for s := range l.sights.seen {
		a.seen = append(a.seen, s)
	}
	l.ws.KeepAnswer(question, a.encode())
}

func (a *answer) encode() []byte {
	var b bytes.Buffer
	for _, text := range []string{a.question, a.tally, a.rules} {
		b.WriteString(text + "\x00")
	}
	for _, s := range a.seen {
		b.WriteString(s.kind + "\x00" + s.name + "\x00" + s.saw + "\x00")
	}
	sum := sha256.Sum256(b.Bytes())
	return slices.Concat([]byte(answerHeader), sum[:], b.Bytes())
}

// decodeAnswer returns false for anything but what encode has written.
func decodeAnswer(data []byte) (a answer, ok bool) {
	const size = len(answerHeader) + sha256.Size
	if len(data) < size || string(data[:len(answerHeader)]) != answerHeader {
		return a, false
	}
	if sum := sha256.Sum256(data[size:]); !bytes.Equal(sum[:], data[len(answerHeader):size]) {
		return a, false
	}
	rest := string(data[size:])
	next := func() (text string) {
		var more bool
		text, rest, more = strings.Cut(rest, "\x00")
		ok = ok && more
		return text
	}
	ok = true
	a.question, a.tally, a.rules = next(), next(), next()
	a.seen = make([]sight, 0, strings.Count(rest, "\x00")/3)
	for ok && rest != "" {
		a.seen = append(a.seen, sight{next(), next(), next()})
	}
	return a, ok
}
