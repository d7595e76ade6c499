package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"pipex/lib/cli"
	"pipex/lib/cli/traced"
	"pipex/lib/name"
	"pipex/lib/pipeline"
	"pipex/lib/run"
	"pipex/lib/workspace"
)

// unwanted are the variables that are for another make, or for the steps of one.
var unwanted = []string{"MAKEFLAGS", "MFLAGS", "MAKELEVEL", "RETRIES", "RETRY_DELAY", "ALLOW_FAILURE", "ENV_FILE", "FORCE", "PIPEX_LOGS"}

// runAll runs the pipeline's steps by make, and shows what becomes of them.
func runAll(c *cli.Call, p *pipeline.Pipeline, force []string) (int, error) {
	view := pipeline.View{Err: os.Stderr, Failures: c.Bool("quiet")}
	if c.Bool("json") {
		view.Out = os.Stdout
	}
	return runTo(c, p, force, view)
}

// runTo is runAll for a view. All that it writes for make is in a directory of its own,
// which it removes.
func runTo(c *cli.Call, p *pipeline.Pipeline, force []string, view pipeline.View) (int, error) {
	jobs := runtime.NumCPU()
	if c.IsSet("concurrency") {
		jobs = c.Int("concurrency")
	}
	if jobs < 1 {
		return 0, name.Usage("%d is no number of steps", jobs)
	}
	signal.Ignore(syscall.SIGPIPE) // a reader that goes away does not end the pipeline
	tmp, err := os.MkdirTemp("", "pipex-run.")
	if err != nil {
		return 0, fmt.Errorf("cannot make a directory for make's files: %w", err)
	}
	defer os.RemoveAll(tmp)
	if err := write(tmp, p); err != nil {
		return 0, err
	}
	place := c.Place()
	place.Workspace = p.Workspace
	r := &pipeline.Report{Pipeline: p, Show: view.Show, Run: func(id string) string { return linked(place, id) }}
	m := &making{report: r, logs: filepath.Join(tmp, "logs"), output: filepath.Join(tmp, "make"), tails: map[string]*tail{}, signals: make(chan os.Signal, 8)}
	if !c.Bool("verbose") {
		r.Logs = m.logs
	}
	cli.Notify(m.signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(m.signals)
	if err := c.Context.Context.Err(); err != nil {
		return 0, err // a signal that came before; one that comes now is m's
	}
	r.Start()
	var failed error
	if steps := p.Runnable(); len(steps) > 0 {
		cmd := exec.Command("make", "-rkj", strconv.Itoa(jobs), "-f", filepath.Join(tmp, "Makefile"), "PIPEX_MK="+os.Getenv("PIPEX_MK"),
			"FORCE="+strings.Join(force, " "), "PIPEX_LOGS="+strings.ReplaceAll(m.logs, "$", "$$"))
		cmd.Args = append(cmd.Args, steps...)
		cmd.Env = append(slices.DeleteFunc(traced.Environ(), func(v string) bool {
			name, _, _ := strings.Cut(v, "=")
			return slices.Contains(unwanted, name)
		}), "PIPEX_WORKDIR="+place.Workdir, "PIPEX_WORKSPACE="+place.Workspace, "CONTAINERD_ADDRESS="+place.Address, "PIPEX_NAMESPACE="+place.Namespace)
		if failed, err = m.make(cmd, steps, c.Bool("verbose")); err != nil {
			r.Abort(cli.StatusCannot)
			return 0, err
		}
	}
	if m.stopped == nil && failed != nil && !r.Failed() {
		r.Abort(cli.StatusCannot) // nobody knows which steps are up to date
		return 0, fmt.Errorf("cannot run the steps: %s", m.lastLine(failed))
	}
	if m.stopped != nil {
		r.End(m.stopped.(syscall.Signal))
		<-c.Context.Context.Done() // the same signal ends it, and is our exit status
		return 0, c.Context.Context.Err()
	}
	return r.End(0), nil
}

// write writes what make reads. The specs are new files each time, which make must not
// take for changes: what they say is looked at without it.
func write(dir string, p *pipeline.Pipeline) error {
	if err := p.Write(dir); err != nil {
		return err
	}
	specs, err := filepath.Glob(filepath.Join(dir, "*.json"))
	for _, spec := range specs {
		if err == nil {
			err = os.Chtimes(spec, time.Unix(1, 0), time.Unix(1, 0))
		}
	}
	return err
}

// linked is the run that a step's name stands for, if any.
func linked(place run.Place, id string) string {
	ws, err := workspace.Open(place.Workdir, place.Workspace)
	if err != nil {
		return ""
	}
	run, _ := ws.Linked(id)
	return run
}

// making is make at work.
type making struct {
	report *pipeline.Report
	logs   string // has what the steps print, in files
	output string // is what make itself prints
	tails  map[string]*tail
	// signals are told to us; stopped is the first of them.
	signals chan os.Signal
	stopped os.Signal
}

// What make has ended, its steps have told: this long an event may still be on its way.
const lastEvents = time.Second

// How often the steps' logs are looked at, for who wants to see them.
const logPause = 50 * time.Millisecond

// make starts make and tells what happens until it has ended, and returns how. make has
// a session of its own, and so gets no signal but ours.
func (m *making) make(cmd *exec.Cmd, steps []string, verbose bool) (failed, err error) {
	if err := m.prepareLogs(steps, verbose); err != nil {
		return nil, err
	}
	output, err := os.Create(m.output)
	if err != nil {
		return nil, err
	}
	defer output.Close()
	happens, tell, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer happens.Close()
	defer tell.Close()
	const first = 3 // of the ExtraFiles
	cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = output, output, []*os.File{tell}
	cmd.Env = append(cmd.Env, fmt.Sprintf("PIPEX_EVENTS=/dev/fd/%d", first))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("cannot start make: %w", err)
	}
	tell.Close()
	events, ended := make(chan pipeline.Event), make(chan error, 1)
	go read(happens, events)
	go func() { ended <- cmd.Wait() }()
	ticks := time.NewTicker(logPause)
	defer ticks.Stop()
	for waiting := ended; events != nil || waiting != nil; {
		select {
		case e, ok := <-events:
			if !ok {
				events = nil
				continue
			}
			m.follow(e.Step.ID, e.Event != pipeline.StepStarting)
			m.report.Tell(e)
		case failed = <-waiting:
			waiting = nil
			happens.SetReadDeadline(time.Now().Add(lastEvents))
		case sig := <-m.signals:
			m.stop(cmd.Process, sig)
		case <-ticks.C:
			for id := range m.tails {
				m.follow(id, false)
			}
		}
	}
	return failed, nil
}

// sameSignal is more than how long pipex-step takes a signal that comes again for the
// same.
const sameSignal = 150 * time.Millisecond

// stop passes a signal on. make passes the first one to the steps and waits for them;
// of more it takes no notice. So the second goes to all of its session: pipex-step passes
// it on to pipex-exec, which kills the container.
func (m *making) stop(make *os.Process, sig os.Signal) {
	if m.stopped != nil {
		time.Sleep(sameSignal)
		syscall.Kill(-make.Pid, syscall.SIGTERM)
		return
	}
	m.stopped = sig
	m.report.Stopping()
	make.Signal(syscall.SIGTERM)
}

// read reads events, a line each. Lines that are none are passed over.
func read(from *os.File, events chan<- pipeline.Event) {
	defer close(events)
	in := bufio.NewReader(from)
	for {
		line, err := in.ReadBytes('\n')
		var e pipeline.Event
		if json.Unmarshal(line, &e) == nil && e.Step != nil {
			events <- e
		}
		if err != nil {
			return
		}
	}
}

// prepareLogs makes the files of the steps' logs. Nobody reads what steps print unless
// it is shown at once: their runs keep it.
func (m *making) prepareLogs(steps []string, verbose bool) error {
	if err := os.Mkdir(m.logs, 0o777); err != nil {
		return err
	}
	for _, id := range steps {
		path := filepath.Join(m.logs, id)
		if !verbose {
			if err := os.Symlink(os.DevNull, path+".stdout"); err != nil {
				return err
			}
			continue
		}
		m.tails[id] = &tail{streams: []stream{{name: "stdout", path: path + ".stdout"}, {name: "stderr", path: path + ".stderr"}}}
	}
	return nil
}

// follow tells what is new in a step's logs; at their end also a line without an end.
func (m *making) follow(id string, end bool) {
	t := m.tails[id]
	if t == nil {
		return
	}
	for i := range t.streams {
		s := &t.streams[i]
		s.lines(end, func(line string) {
			m.report.Tell(pipeline.Event{Event: pipeline.StepLog, Step: &pipeline.StepName{ID: id}, Stream: s.name, Line: &line})
		})
	}
}

func (m *making) lastLine(failed error) string {
	data, _ := os.ReadFile(m.output)
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	if last := lines[len(lines)-1]; last != "" {
		return last
	}
	return failed.Error()
}
