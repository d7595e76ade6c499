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
	progressLines = 5 * time.Second
	// progressEnd is how long the program that draws has to clear the line.
	progressEnd = time.Second
)

// display shows the progress of a verb on stderr. What draws on a terminal is a program of its own,
// pipex-progress, which is started when work has taken long: so a verb does not link it.
type display struct {
	verb     string
	terminal bool
	ended    chan struct{}
	watching sync.WaitGroup

	mu    sync.Mutex
	to    *os.File // the program that draws; nil if there is none
	drawn *exec.Cmd
	wiped time.Time
	gone  bool // there is none, or it has failed
}

// showProgress has the progress of work shown until the function that it returns is called. Where make
// runs several verbs at a time, or where there is no terminal, it is shown as lines.
func (c *Call) showProgress() (end func()) {
	begun := func() {
		if c.Context == nil || c.Bool("quiet") {
			return
		}
		c.display = &display{verb: c.verb.Name, terminal: os.Getenv("MAKELEVEL") == "" && os.Getenv("TERM") != "dumb" && term.IsTerminal(int(os.Stderr.Fd())), ended: make(chan struct{})}
		c.display.watching.Go(c.display.watch)
	}
	progress.Watch(begun, func() { c.display.wipe() })
	return func() {
		progress.Watch(nil, nil)
		if c.display != nil {
			close(c.display.ended)
			c.display.watching.Wait()
			c.display.wipe()
		}
	}
}

func (d *display) watch() {
	pause := progressPause
	if !d.terminal {
		pause = progressLines
	}
	var told string
	for wait := progressAfter; ; wait = pause {
		select {
		case <-d.ended:
			return
		case <-time.After(wait):
		}
		s, ok := progress.Now()
		switch {
		case ok && d.terminal && time.Since(s.Began) >= progressAfter:
			d.draw(s)
		case d.terminal:
			d.wipe()
		case ok && time.Since(s.Began) >= progressLines:
			if line := s.String(); line != told {
				fmt.Fprintf(os.Stderr, "%s: %s\n", d.verb, Harmless(line))
				told = line
			}
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

// wipe clears the line before something else is printed.
func (d *display) wipe() {
	if d == nil {
		return
	}
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
