package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"

	"pipex/lib/internal/endpoint"
	"pipex/lib/internal/version"
	"pipex/lib/name"
	"pipex/lib/run"
	"pipex/lib/workspace"
)

// called runs a verb that calls do. It returns the status, the call, and what was written to stdout
// and stderr.
func called(t *testing.T, v Verb, do func(*Call) (int, error), args ...string) (status int, call *Call, stdout, stderr string) {
	t.Helper()
	v.Name, v.Synopsis, v.About, v.Examples = "pipex-try", []string{"[OPTION]... RUN..."}, "Try.", []string{"pipex-try x"}
	v.Do = func(c *Call) (int, error) {
		call = c
		return do(c)
	}
	out, errs := os.Stdout, os.Stderr
	defer func() { os.Stdout, os.Stderr = out, errs }()
	read := func(to **os.File) func() string {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		*to = w
		return func() string {
			w.Close()
			data, _ := io.ReadAll(r)
			return string(data)
		}
	}
	getOut, getErr := read(&os.Stdout), read(&os.Stderr)
	status = v.run(append([]string{"pipex-try"}, args...))
	return status, call, getOut(), getErr()
}

func done(*Call) (int, error) { return StatusDone, nil }

func TestStatuses(t *testing.T) {
	for _, c := range []struct {
		err          error
		status, exec int
	}{
		{nil, 0, 0},
		{name.Usage("x"), 129, 125},
		{name.Check("run", ".."), 129, 125},
		{fmt.Errorf("x: %w", workspace.ErrNoRun), 1, 125},
		{workspace.ErrNoWorkspace, 1, 125},
		{workspace.ErrNoStep, 1, 125},
		{workspace.ErrCommitted, 1, 125},
		{workspace.ErrNotCommitted, 1, 125},
		{workspace.ErrNotSuccessful, 1, 125},
		{workspace.ErrDamaged, 1, 125},
		{fmt.Errorf("x: %w", &workspace.BusyError{What: "it"}), 1, 125},
		{workspace.ErrExists, 128, 125},
		{errors.New("x"), 128, 125},
	} {
		for _, v := range []struct {
			Verb
			want int
		}{{Verb{}, c.status}, {Verb{Failed: 125}, c.exec}} {
			status, _, stdout, stderr := called(t, v.Verb, func(*Call) (int, error) { return 0, c.err })
			if status != v.want || stdout != "" || strings.Count(stderr, "\n") != min(1, v.want) {
				t.Errorf("%v: status %d, want %d; %q, %q", c.err, status, v.want, stdout, stderr)
			}
		}
	}
}

// An error is printed in one line, whatever its message contains.
func TestErrorIsOneLine(t *testing.T) {
	_, _, _, stderr := called(t, Verb{}, func(*Call) (int, error) { return 0, errors.New("a\nb\r\nc") })
	if stderr != "pipex-try: a; b ; c\n" {
		t.Errorf("%q", stderr)
	}
}

func TestOperandsOptionsCommand(t *testing.T) {
	for _, c := range []struct {
		args          []string
		args1, comand []string
	}{
		{[]string{"a", "b"}, []string{"a", "b"}, nil},
		{[]string{"-z", "a", "--", "ls", "-l", "--", "x"}, []string{"a"}, []string{"ls", "-l", "--", "x"}},
		{[]string{"--", "ls"}, []string{}, []string{"ls"}},
	} {
		_, call, _, stderr := called(t, Verb{Command: true, Flags: []cli.Flag{NUL}}, done, c.args...)
		if call == nil || !slices.Equal(call.Args, c.args1) || !slices.Equal(call.Command, c.comand) {
			t.Errorf("%q: %+v %q", c.args, call, stderr)
		}
	}
	// If the verb takes no command, the arguments after -- are operands.
	_, call, _, _ := called(t, Verb{}, done, "a", "--", "b")
	if !slices.Equal(call.Args, []string{"a", "b"}) {
		t.Errorf("%q", call.Args)
	}
}

func TestWrongUsage(t *testing.T) {
	flags := []cli.Flag{NUL, &cli.StringFlag{Name: "text"}, &cli.DurationFlag{Name: "timeout"}}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--nope"}, `unknown option "--nope"; pipex-try --help lists the options`},
		{[]string{"--txt=a"}, `unknown option "--txt"; did you mean --text?`},
		{[]string{"--wrokspace", "a"}, `unknown option "--wrokspace"; did you mean --workspace?`},
		{[]string{"-n"}, `unknown option "-n"; `},
		{[]string{"--text"}, `option "--text" needs a value; `},
		{[]string{"--text", ""}, `--text is empty`},
		{[]string{"--timeout", "soon"}, `--timeout "soon": a time is wanted, such as 90s or 1h30m`},
		{[]string{"--timeout", "5"}, `--timeout "5": a unit is wanted, such as 5s or 5m`},
		{[]string{"a", "-z"}, `"-z" stands after an operand; options come first: pipex-try [OPTION]... RUN...`},
		{[]string{"a", "--", "-z"}, `"-z" stands after an operand; `},
	} {
		status, call, stdout, stderr := called(t, Verb{Flags: flags}, done, c.args...)
		if status != 129 || call != nil || stdout != "" || !strings.HasPrefix(stderr, "pipex-try: "+c.want) || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%q: status %d, called %t, %q, %q", c.args, status, call != nil, stdout, stderr)
		}
	}
	for _, args := range [][]string{{"a", "--"}, {"a", "--", ""}} {
		if status, call, _, stderr := called(t, Verb{Command: true}, done, args...); status != 129 || call != nil || !strings.Contains(stderr, "is empty") {
			t.Errorf("%q: %d, %q", args, status, stderr)
		}
	}
}

func TestHelpAndVersion(t *testing.T) {
	status, call, stdout, stderr := called(t, Verb{Flags: []cli.Flag{NUL}}, done, "--help")
	if status != 0 || call != nil || stderr != "" || !strings.HasPrefix(stdout, "usage: pipex-try [OPTION]... RUN...\n") {
		t.Errorf("%d, %q, %q", status, stdout, stderr)
	}
	for _, want := range []string{"\nTry.\n", "\nOPTIONS\n", "\n  -z ", "\nEXIT STATUS\n", "  129  ", "\nEXAMPLE\n  pipex-try x\n", "$PIPEX_WORKDIR"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("no %q in %s", want, stdout)
		}
	}
	if _, _, stdout, _ := called(t, Verb{}, done, "--version"); stdout != "pipex-try "+version.Long()+"\n" {
		t.Errorf("%q", stdout)
	}
}

func TestPlace(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, variable := range []string{"PIPEX_WORKDIR", "PIPEX_WORKSPACE", "PIPEX_CONTAINERD_DIR", "CONTAINERD_ADDRESS", "PIPEX_NAMESPACE", "CONTAINERD_SNAPSHOTTER", "CNI_PATH", "NETCONFPATH"} {
		t.Setenv(variable, "")
	}
	place := func(args ...string) run.Place {
		_, call, _, _ := called(t, Verb{}, done, args...)
		p := call.Place()
		p.Warn, p.Start = nil, endpoint.Start
		return p
	}
	same := func(got, want run.Place) {
		t.Helper()
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%+v, want %+v", got, want)
		}
	}
	want := func(workdir, workspace, address, namespace string) run.Place {
		return run.Place{Workdir: workdir, Workspace: workspace, Containerd: endpoint.Containerd{Address: address, Namespace: namespace}}.WithDefaults()
	}
	same(place(), want("./workdir", "default", "/run/containerd/containerd.sock", "pipex"))
	t.Setenv("PIPEX_WORKDIR", "d")
	t.Setenv("PIPEX_WORKSPACE", "w")
	t.Setenv("CONTAINERD_ADDRESS", "/s")
	t.Setenv("PIPEX_NAMESPACE", "n")
	same(place(), want("d", "w", "/s", "n"))
	same(place("--workdir", "D", "-w", "W", "--address", "/S", "--namespace", "N"), want("D", "W", "/S", "N"))
}

func TestPrint(t *testing.T) {
	print := func(c *Call) (int, error) { return 0, c.Print(map[string]string{"k": "v<"}, "a", "b") }
	for args, want := range map[string]string{"": "a\tb\n", "-z": "a\tb\x00", "--json": `{"k":"v\u003c"}` + "\n"} {
		_, _, stdout, stderr := called(t, Verb{Flags: []cli.Flag{NUL, JSON}}, print, strings.Fields(args)...)
		if stdout != want {
			t.Errorf("%s: %q, %q", args, stdout, stderr)
		}
	}
}

// If one id fails, the others are still done, and the status is the highest one.
func TestEachGoesOn(t *testing.T) {
	var did []string
	status, _, _, stderr := called(t, Verb{}, func(c *Call) (int, error) {
		return c.Each(c.Args, func(id string) error {
			did = append(did, id)
			return map[string]error{"b": workspace.ErrNoRun, "c": errors.New("x")}[id]
		})
	}, "a", "b", "c", "d", "b")
	if status != 128 || !slices.Equal(did, []string{"a", "b", "c", "d", "b"}) || strings.Count(stderr, "\n") != 3 {
		t.Errorf("%d, %v, %q", status, did, stderr)
	}
}

func TestSplitNUL(t *testing.T) {
	var got []string
	for rest := []byte("a\x00b\nc\x00\x00d"); len(rest) > 0; {
		n, token, _ := splitNUL(rest, true)
		got, rest = append(got, string(token)), bytes.Clone(rest[n:])
	}
	if !slices.Equal(got, []string{"a", "b\nc", "", "d"}) {
		t.Errorf("%q", got)
	}
}

func TestSpec(t *testing.T) {
	t.Setenv("HERE", "1")
	status, _, _, stderr := called(t, Verb{Command: true, Flags: StepFlags()}, func(c *Call) (int, error) {
		s, err := c.Spec()
		if err != nil {
			return 0, err
		}
		err = s.Check()
		if len(s.Inputs) != 3 || !s.Inputs[1].Optional || !s.Inputs[2].Copy || s.Env["HERE"] != "1" || s.Env["A"] != "x,y" || s.Cmd[1] != "-n" || s.Mounts[0].Host != "/h" {
			err = fmt.Errorf("%+v", s)
		}
		return 0, err
	}, "--step", "s", "--image", "i", "--input", "a", "--optional-input", "b", "--copy-input", "c", "--env", "HERE", "--env", "A=x,y", "--mount", "/h:/m", "--", "echo", "-n")
	if status != 0 {
		t.Errorf("%d, %s", status, stderr)
	}
}

// A step's line is read as pipex-prepare reads its arguments, and nothing is done.
func TestParseStep(t *testing.T) {
	own := &cli.BoolFlag{Name: "own"}
	c, err := ParseStep([]string{"--image=i", "--own", "--help", "--input", "a", "--entrypoint", "--mount", "--env", "A=b,c", "-w", "x", "--", "sh", "--", "-c"}, own)
	if err != nil {
		t.Fatal(err)
	}
	s, err := c.Spec()
	if err != nil || s.Image != "i" || len(s.Inputs) != 1 || (*s.Entrypoint)[0] != "--mount" || s.Env["A"] != "b,c" || !slices.Equal(s.Cmd, []string{"sh", "--", "-c"}) ||
		!c.Bool("own") || !c.IsSet("workspace") || c.String("workspace") != "x" || c.IsSet("mount") {
		t.Errorf("%+v, %v", s, err)
	}
	for _, args := range [][]string{{"--imag", "i"}, {"--image"}, {"operand"}, {"--image", "i", "--"}, {"--image="}} {
		if _, err := ParseStep(args); err == nil {
			t.Errorf("%q", args)
		}
	}
}
