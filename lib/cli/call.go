package cli

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"

	"pipex/lib/cli/traced"
	"pipex/lib/internal/endpoint"
	"pipex/lib/name"
	"pipex/lib/run"

	"github.com/urfave/cli/v2"
)

func globals() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "workdir", Usage: "`DIR` of the workspaces ($PIPEX_WORKDIR, workdir here or above)"},
		&cli.StringFlag{Name: "workspace", Aliases: []string{"w"}, Usage: "`NAME` of the workspace ($PIPEX_WORKSPACE, the only one, " + run.DefaultWorkspace + ")"},
		&cli.StringFlag{Name: "address", Usage: "`SOCKET` of containerd ($CONTAINERD_ADDRESS, a private one, " + endpoint.Address + ")"},
		&cli.StringFlag{Name: "namespace", Usage: "containerd namespace `NS` for runs only ($PIPEX_NAMESPACE, " + endpoint.Namespace + ")"},
		&cli.DurationFlag{Name: "rpc-timeout", Usage: "fail if containerd does not answer a call within `TIME`", Value: endpoint.Patience},
		&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "print errors only, no warnings"},
		&cli.BoolFlag{Name: "verbose", Usage: "print on stderr each part of the work and its time, as PIPEX_TRACE=1 does"},
		&cli.BoolFlag{Name: "help", Aliases: []string{"h"}, Usage: "print this and exit"},
		&cli.BoolFlag{Name: "version", Usage: "print the version and exit"},
	}
}

// OutputFlag, JSON, NUL and Stdin are options that several verbs have.
var (
	OutputFlag = &cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "write to `FILE`, replaced as a whole, instead of stdout"}
	JSON       = &cli.BoolFlag{Name: "json", Usage: "print each result as one JSON object per line"}
	NUL        = &cli.BoolFlag{Name: "z", Usage: "end each record, read or printed, with NUL instead of a line feed"}
	Stdin      = &cli.BoolFlag{Name: "stdin", Usage: "read more ids from standard input, one per record"}
)

// Caller returns the user and group that called sudo(8), or else root. Root of a container with
// a user namespace is mapped to them.
func (c *Call) Caller() (id struct{ UID, GID uint32 }) {
	for variable, field := range map[string]*uint32{"SUDO_UID": &id.UID, "SUDO_GID": &id.GID} {
		if n, err := strconv.ParseUint(os.Getenv(variable), 10, 32); err == nil {
			*field = uint32(n)
		}
	}
	return id
}

// IsSet tells whether an option was given. It shadows urfave's, which looks through
// all options each time.
func (c *Call) IsSet(name string) bool {
	if c.given == nil {
		c.given = map[string]bool{}
		for _, name := range c.LocalFlagNames() {
			c.given[name] = true
		}
	}
	return c.given[name]
}

// Warn prints a warning to stderr, unless --quiet is given.
func (c *Call) Warn(err error) {
	if err != nil && (c.Context == nil || !c.Bool("quiet")) {
		c.wipeFor(os.Stderr)
		fmt.Fprintf(os.Stderr, "%s: warning: %s\n", c.verb.Name, oneLine(err))
	}
}

// Say prints a line to stderr, unless --quiet is given.
func (c *Call) Say(format string, args ...any) {
	if !c.Bool("quiet") {
		c.wipeFor(os.Stderr)
		fmt.Fprintf(os.Stderr, "%s: %s\n", c.verb.Name, fmt.Sprintf(format, args...))
	}
}

// Fail prints an error to stderr and returns its exit status. It is for verbs that continue
// with the next operand.
func (c *Call) Fail(err error) int {
	c.wipeFor(os.Stderr)
	return c.verb.fail(err)
}

// Operands returns an error if there are fewer than min or more than max operands; max < 0 means
// no limit.
func (c *Call) Operands(min, max int) error {
	n := len(c.Args)
	if n > max && max == 0 && c.verb.Command {
		return name.Usage("%q is not an option; the command comes after --: %s %s", c.Args[0], c.verb.Name, c.verb.Synopsis[0])
	}
	if c.verb.Command && c.Command == nil && max > 0 && n > max {
		return name.Usage("%q stands where no operand is wanted; the command comes after --: %s %s", c.Args[max], c.verb.Name, c.verb.Synopsis[0])
	}
	if n < min || max >= 0 && n > max {
		return name.Usage("wrong number of operands: %s %s", c.verb.Name, strings.Join(c.verb.Synopsis, ", or "+c.verb.Name+" "))
	}
	return nil
}

// OneOf returns an error if more than one of the options is given.
func (c *Call) OneOf(options ...string) error {
	given := ""
	for _, o := range options {
		if !c.Bool(o) {
			continue
		}
		if given != "" {
			return name.Usage("--%s and --%s exclude each other", given, o)
		}
		given = o
	}
	return nil
}

// IDs returns the operands and, with --stdin, the records of standard input.
func (c *Call) IDs() ([]string, error) {
	ids := c.Args
	if !c.Bool("stdin") {
		return ids, nil
	}
	in := bufio.NewScanner(os.Stdin)
	if c.Bool("z") {
		in.Split(splitNUL)
	}
	for in.Scan() {
		if in.Text() != "" {
			ids = append(ids, in.Text())
		}
	}
	if err := in.Err(); err != nil {
		return nil, fmt.Errorf("cannot read standard input: %w", err)
	}
	return ids, nil
}

// RunIDs are the operands and the records of standard input, of which there is one at
// least unless they come from there, and each of which has the form of a run's name.
func (c *Call) RunIDs() ([]string, error) {
	if !c.Bool("stdin") {
		if err := c.Operands(1, -1); err != nil {
			return nil, err
		}
	}
	ids, err := c.IDs()
	if err != nil {
		return nil, err
	}
	return ids, name.CheckRefs(ids)
}

// RunID returns the id of the run that an operand of a verb that changes something
// means; see [workspace.Workspace.Resolve]. An id as prepare makes them is not looked up.
func (c *Call) RunID(operand string) (string, error) {
	if name.IsID(operand) {
		traced.Name("", "pipex.run", operand)
		return operand, nil
	}
	ws, err := c.Place().Open()
	if err != nil {
		return "", err
	}
	r, err := ws.Resolve(operand)
	traced.Name("", "pipex.run", r.ID)
	return r.ID, err
}

func splitNUL(data []byte, atEOF bool) (int, []byte, error) {
	if i := bytes.IndexByte(data, 0); i >= 0 {
		return i + 1, data[:i], nil
	}
	if atEOF && len(data) > 0 {
		return len(data), data, nil
	}
	return 0, nil, nil
}

// Print prints one result: its fields separated by tabs or, with --json, as a JSON object.
func (c *Call) Print(result any, fields ...string) error {
	line := strings.Join(fields, "\t")
	if c.Bool("json") {
		data, err := json.Marshal(result)
		if err != nil {
			return err
		}
		line = string(data)
	}
	end := "\n"
	if c.Bool("z") {
		end = "\x00"
	}
	c.wipeFor(os.Stdout)
	if _, err := os.Stdout.WriteString(line + end); err != nil {
		return fmt.Errorf("cannot print: %w", err)
	}
	return nil
}

// Each calls do with each id. If do fails, Each prints the error and continues with the next id.
// It returns the highest status.
func (c *Call) Each(ids []string, do func(id string) error) (int, error) {
	status := StatusDone
	for _, id := range ids {
		if err := do(id); err != nil {
			if c.Context.Context.Err() != nil {
				return status, err // interrupted, so stop
			}
			status = max(status, c.Fail(err))
		}
	}
	return status, nil
}
