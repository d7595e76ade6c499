package cli

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/term"

	"pipex/lib/progress"
)

const (
	// progressAfter is how long work must have taken before its progress is shown.
	progressAfter = 500 * time.Millisecond
	// progressPause is the time between two pictures on a terminal, progressLines that between
	// two lines elsewhere.
	progressPause = 100 * time.Millisecond
	progressLines = 10 * time.Second
	// progressEnd is how long the program that draws has to clear the line.
	progressEnd = time.Second
)

// display shows the progress of some work of a verb on stderr. What draws on a terminal is a program of
// its own, pipex-progress, which is started when the work has taken long: so a verb does not link it.
type display struct {
	verb     string
	ended    chan struct{}
	watching sync.WaitGroup

	mu    sync.Mutex
	to    *os.File // the program that draws; nil if there is none
	drawn *exec.Cmd
	wiped time.Time
	gone  bool // there is none, or it has failed
}

// showProgress has the progress of work shown from now on: on a terminal in a line, elsewhere, and where
// make runs several verbs at a time, as lines.
func (c *Call) showProgress() {
	progress.Watch(func() (ended func()) {
		if c.Context == nil || c.Bool("quiet") {
			return nil
		}
		d := &display{verb: c.verb.Name, ended: make(chan struct{})}
		c.display.Store(d)
		d.watching.Go(d.watch)
		return func() {
			close(d.ended)
			d.watching.Wait()
			d.wipe()
		}
	})
}

func isTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }

func (d *display) watch() {
	show, pause := d.draw, progressPause
	for wait := progressAfter; ; wait = pause {
		select {
		case <-d.ended:
			return
		case <-time.After(wait):
		}
		if wait == progressAfter && (!isTerminal(os.Stderr) || os.Getenv("MAKELEVEL") != "" || os.Getenv("TERM") == "dumb") {
			show, pause = d.lines(), progressLines
			continue
		}
		if s, ok := progress.Now(); ok {
			show(s)
		}
	}
}

// lines returns a function that prints a state if something is counted in it, and it is another one than
// before.
func (d *display) lines() func(progress.State) {
	var told string
	return func(s progress.State) {
		if line := s.String(); line != told && s.Done+s.Bytes > 0 {
			fmt.Fprintf(os.Stderr, "%s: %s\n", d.verb, Harmless(line))
			told = line
		}
	}
}

// draw has a state drawn. A program that does not read any more is left to itself.
func (d *display) draw(s progress.State) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.gone || d.to == nil && time.Since(d.wiped) < progressAfter {
		return
	}
	if d.to == nil && !d.start() {
		d.gone = true
		return
	}
	line, err := json.Marshal(s)
	if err == nil {
		d.to.SetWriteDeadline(time.Now().Add(progressPause))
		_, err = d.to.Write(append(line, '\n'))
	}
	if err != nil {
		d.gone = true
		d.end()
	}
}

// start starts the program that draws.
func (d *display) start() bool {
	path, err := exec.LookPath("pipex-progress")
	if own, at := os.Executable(); err != nil && at == nil {
		path, err = exec.LookPath(filepath.Join(filepath.Dir(own), "pipex-progress"))
	}
	if err != nil {
		return false
	}
	from, to, err := os.Pipe()
	if err != nil {
		return false
	}
	cmd := exec.Command(path, "--name", d.verb)
	cmd.Stdin, cmd.Stderr = from, os.Stderr
	cmd.Env = append(os.Environ(), "PIPEX_TRACE=")
	err = cmd.Start()
	from.Close()
	if err != nil {
		to.Close()
		return false
	}
	d.to, d.drawn = to, cmd
	return true
}

// wipeFor clears the line before something is printed to f.
func (c *Call) wipeFor(f *os.File) {
	if d := c.display.Load(); d != nil && isTerminal(f) {
		d.wipe()
	}
}

func (d *display) wipe() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.end()
}

// end ends the program that draws, which clears its line.
func (d *display) end() {
	if d.to == nil {
		return
	}
	d.to.Close()
	late := time.AfterFunc(progressEnd, func() { d.drawn.Process.Kill() })
	d.drawn.Wait()
	late.Stop()
	d.to, d.drawn, d.wiped = nil, nil, time.Now()
}
