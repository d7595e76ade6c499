// Package kits evaluates kits that are JavaScript modules, as @livingdata/pipex has them: the
// default export is called with a step's parameters and returns what the step is.
//
// A kit is the project's own code, and runs with the rights of the caller: it is not shut in.
// What it prints is not its answer, an answer is bounded in time and size, and whoever gets
// the answer has to check it.
package kits

import (
	"bufio"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"
)

// Kit says where a kit is: in a file, in an npm package that is found from the working
// directory, or, if it has neither, among the built-in ones.
type Kit struct {
	Name   string `json:"name"`
	File   string `json:"file,omitempty"`   // absolute
	Module string `json:"module,omitempty"` // as in an import
}

// Builtin tells whether the kit is built in.
func (k Kit) Builtin() bool { return k.File == "" && k.Module == "" }

// MarshalJSON gives a kit the form that the program of node reads.
func (k Kit) MarshalJSON() ([]byte, error) {
	type plain Kit
	return json.Marshal(struct {
		plain
		Builtin bool `json:"builtin,omitempty"`
	}{plain(k), k.Builtin()})
}

// Answer is what a kit returned, and the directory that it is in.
type Answer struct {
	Output json.RawMessage
	Dir    string
}

// Runner evaluates kits in one process of node, which begins with the first of them.
type Runner struct {
	// Dir is the directory of which node_modules are looked at.
	Dir string
	// Output gets what kits print; it may be nil.
	Output io.Writer
	// Find and Resolve are for kits that use other kits by context.resolveKit: where a kit
	// is, and what a built-in one returns.
	Find    func(name string) (Kit, error)
	Resolve func(name string, with json.RawMessage) (json.RawMessage, error)

	cmd     *exec.Cmd
	in      io.WriteCloser
	out     *os.File
	answers *bufio.Reader
}

// ErrNoNode says that there is no node on PATH.
var ErrNoNode = errors.New("it is JavaScript, and there is no node on PATH; install Node.js 20.19 or later")

// limit is how long a kit may take. One that fetches something may take some time; one that
// waits for something that never happens must not keep a pipeline for ever.
var limit = 30 * time.Second

// maxAnswer bounds a line of node's, in bytes.
const maxAnswer = 1 << 20

//go:embed kits.mjs
var program string

// Eval returns what a kit makes of the parameters, a JSON object. After an error the process
// is gone, and the next call starts a new one.
func (r *Runner) Eval(kit Kit, with json.RawMessage) (a Answer, err error) {
	defer func() {
		if err != nil {
			r.Close()
		}
	}()
	if err := r.start(); err != nil {
		return a, err
	}
	r.out.SetReadDeadline(time.Now().Add(limit))
	if err := r.send(map[string]any{"kit": kit, "with": with}); err != nil {
		return a, err
	}
	for {
		var said struct {
			Output           json.RawMessage
			KitDir           string
			Resolve, Builtin string
			Error            *string
			With             json.RawMessage
		}
		line, err := r.receive()
		if err != nil {
			return a, err
		}
		if err := json.Unmarshal(line, &said); err != nil {
			return a, fmt.Errorf("its answer is not JSON: %w", err)
		}
		reply := map[string]any{}
		switch {
		case said.Error != nil:
			return a, errors.New(hint(*said.Error))
		case said.Resolve != "":
			reply["kit"], err = r.Find(said.Resolve)
		case said.Builtin != "":
			reply["output"], err = r.Resolve(said.Builtin, said.With)
		default:
			return Answer{said.Output, said.KitDir}, nil
		}
		if err != nil {
			reply = map[string]any{"error": err.Error()}
		}
		if err := r.send(reply); err != nil {
			return a, err
		}
	}
}

// hint adds what to do about an error of node that has a common reason.
func hint(message string) string {
	if strings.Contains(message, "Unexpected token 'export'") || strings.Contains(message, "Cannot use import statement outside a module") {
		return message + `; with Node.js before 20.19, a package.json with "type": "module" is needed beside the kit`
	}
	return message
}

func (r *Runner) start() error {
	if r.cmd != nil {
		return nil
	}
	node, err := exec.LookPath("node")
	if err != nil {
		return ErrNoNode
	}
	out, tell, err := os.Pipe()
	if err != nil {
		return err
	}
	defer tell.Close()
	cmd := exec.Command(node, "--input-type=module", "--no-warnings", "-e", program)
	cmd.Dir, cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = r.Dir, r.Output, r.Output, []*os.File{tell}
	cmd.WaitDelay = time.Second // a kit's own process may hold what it prints to
	in, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		out.Close()
		return fmt.Errorf("cannot start node: %w", err)
	}
	r.cmd, r.in, r.out, r.answers = cmd, in, out, bufio.NewReader(out)
	return nil
}

func (r *Runner) send(message any) error {
	line, err := json.Marshal(message)
	if err != nil {
		return err
	}
	if _, err := r.in.Write(append(line, '\n')); err != nil {
		return errors.New("node has ended")
	}
	return nil
}

func (r *Runner) receive() ([]byte, error) {
	var line []byte
	for {
		part, err := r.answers.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case len(line) > maxAnswer:
			return nil, errors.New("its answer has more than 1 MiB")
		case err == nil:
			return line, nil
		case errors.Is(err, os.ErrDeadlineExceeded):
			return nil, fmt.Errorf("it has no answer after %s", limit)
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, errors.New("node ended without an answer")
		}
	}
}

// Close ends the process, if there is one.
func (r *Runner) Close() {
	if r.cmd == nil {
		return
	}
	r.in.Close()
	r.out.Close()
	r.cmd.Process.Kill()
	r.cmd.Wait()
	r.cmd = nil
}
