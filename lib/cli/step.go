package cli

import (
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/urfave/cli/v2"

	"pipex/lib/name"
	"pipex/lib/step"
)

// StepFlags returns the options that describe a step.
func StepFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "step", Usage: "`STEP` that the run belongs to"},
		&cli.StringFlag{Name: "name", Usage: "title of the step for people, `TEXT`"},
		&cli.StringFlag{Name: "image", Usage: "`REF` of the image; without one the run has no container"},
		&cli.StringFlag{Name: "pull", Usage: "`WHEN` to fetch the image: missing (default), always, never"},
		&cli.StringFlag{Name: "platform", Usage: "`OS/ARCH[/VARIANT]` of the image, if it has several (this machine's)"},
		&cli.StringSliceFlag{Name: "input", Usage: "artifacts of `STEP[=RUN][:PATH]`, read-only, at /input/STEP or PATH"},
		&cli.StringSliceFlag{Name: "optional-input", Usage: "the same, left out if there is no such run: `STEP[=RUN][:PATH]`"},
		&cli.StringSliceFlag{Name: "copy-input", Usage: "artifacts of `STEP[=RUN]`, copied into the output first"},
		&cli.StringFlag{Name: "output", Usage: "container `PATH` that the step writes to (" + step.DefaultOutput + ")"},
		&cli.StringSliceFlag{Name: "mount", Usage: "host file or directory, read-only: `HOST:PATH`"},
		&cli.StringSliceFlag{Name: "source", Usage: "writable copy of a host file or directory: `HOST:PATH`"},
		&cli.StringSliceFlag{Name: "tmpfs", Usage: "directory in memory: `PATH[:SIZE]`"},
		&cli.StringSliceFlag{Name: "cache", Usage: "directory that outlives runs: `NAME:PATH[:ro|:exclusive]`"},
		&cli.StringFlag{Name: "entrypoint", Usage: "`PROGRAM` instead of the image's entrypoint; empty for none"},
		&cli.StringFlag{Name: "setup", Usage: "shell `SCRIPT` that the first exec runs before the command, with network"},
		&cli.StringFlag{Name: "setup-network", Usage: "network `NET` of the setup: host (default), none, bridge, cni:NAME"},
		&cli.StringSliceFlag{Name: "setup-cache", Usage: "cache for the setup only: `NAME:PATH[:ro|:exclusive]`"},
		&cli.StringSliceFlag{Name: "env", Usage: "environment variable `K=V`, or K to take its value from the caller"},
		&cli.StringSliceFlag{Name: "env-file", Usage: "variables from `FILE`, in dotenv form; --env overrides it"},
		&cli.StringSliceFlag{Name: "secret", Usage: "secret in /run/secrets/NAME, read by exec from the variable NAME or FILE: `NAME[=FILE]`"},
		&cli.StringSliceFlag{Name: "secret-env", Usage: "the same, and also as the step's variable NAME: `NAME[=FILE]`"},
		&cli.StringFlag{Name: "cwd", Usage: "working directory `PATH` (the image's)"},
		&cli.StringFlag{Name: "user", Usage: "`UID[:GID]` or NAME[:GROUP] (the image's)"},
		&cli.BoolFlag{Name: "userns", Usage: "map root of the container to the caller (of sudo), and other users to subordinate ids"},
		&cli.StringFlag{Name: "network", Usage: "network `NET` of the step: none (default), host, bridge, cni:NAME"},
		&cli.DurationFlag{Name: "timeout", Usage: "end the command after `TIME`, such as 90s or 1h30m"},
		&cli.StringFlag{Name: "memory", Usage: "limit of memory, `SIZE` such as 512m; a step that needs more is killed"},
		&cli.Float64Flag{Name: "cpus", Usage: "limit of processors, `N` such as 1.5"},
		&cli.Int64Flag{Name: "pids", Usage: "limit of processes, `N`"},
		&cli.StringSliceFlag{Name: "ulimit", Usage: "limit of each process, as for setrlimit(2): `NAME=SOFT[:HARD]`"},
		&cli.StringFlag{Name: "shm-size", Usage: "`SIZE` of /dev/shm (64m)"},
		&cli.StringFlag{Name: "log-max", Usage: "keep only the first `SIZE` of each exec's stdout, and of its stderr"},
		&cli.BoolFlag{Name: "no-init", Usage: "run the command as process 1, without tini"},
		&cli.BoolFlag{Name: "32-bit", Usage: "let programs run, too, that are for the machine's 32-bit variant"},
		&cli.StringSliceFlag{Name: "device", Usage: "device by its CDI name, `VENDOR/CLASS=NAME`"},
		&cli.StringSliceFlag{Name: "cap-add", Usage: "give the step a `CAPABILITY`, such as NET_RAW, or ALL"},
		&cli.StringSliceFlag{Name: "cap-drop", Usage: "take a `CAPABILITY` from the step, or ALL"},
		&cli.BoolFlag{Name: "read-only", Usage: "make the root file system read-only"},
		&cli.StringFlag{Name: "hostname", Usage: "host name of the container, `NAME` (" + step.DefaultHostname + ")"},
		&cli.StringFlag{Name: "spec", Usage: "read all of the above as JSON from `FILE`, or - for standard input; other options add to it"},
	}
}

// PrepareFlags are those of pipex-prepare that say how a run is made of the step.
func PrepareFlags() []cli.Flag {
	return append(StepFlags(),
		&cli.StringFlag{Name: "run-id", Usage: "use `RUN` as the id instead of a new one"},
		HostsDir,
		&cli.BoolFlag{Name: "cached", Usage: "if a committed, successful run has the same fingerprint, print it and exit 3"})
}

// HostsDir is the option of programs that fetch images.
var HostsDir = &cli.StringFlag{Name: "hosts-dir", Usage: "`DIR` of containerd's hosts.toml files, by registry (" + defaultHostsDir + ")", Value: defaultHostsDir}

// defaultHostsDir is the directory that containerd's documentation uses.
const defaultHostsDir = "/etc/containerd/certs.d"

// ParseStep reads the arguments of pipex-prepare, as pipex-prepare reads them, and
// does nothing else. more are options of the caller's own. The result describes a
// step: [Call.Spec].
func ParseStep(args []string, more ...cli.Flag) (*Call, error) {
	v := &Verb{Name: "pipex-prepare", Synopsis: []string{"[OPTION]... [-- COMMAND [ARG]...]"}, Command: true}
	options, command, _ := cut(args)
	call := &Call{verb: v, Command: command}
	app := v.app(occurring(options, more), nil)
	app.OnUsageError = func(_ *cli.Context, err error, _ bool) error {
		return v.usage(err, slices.Concat(PrepareFlags(), globals(), more))
	}
	app.Action = func(c *cli.Context) error { // --help is only read, too
		call.Context = c
		if err := call.check(); err != nil {
			return err
		}
		return call.Operands(0, 0)
	}
	return call, app.Run(append([]string{v.Name}, options...))
}

// known are pipex-prepare's options by their names, unused: urfave takes long to tell
// the names.
var known = sync.OnceValue(func() map[string]cli.Flag {
	flags := map[string]cli.Flag{}
	for _, f := range append(PrepareFlags(), globals()...) {
		for _, name := range f.Names() {
			flags[name] = f
		}
	}
	return flags
})

// occurring are those options of pipex-prepare of which a name is among the words, and
// more if there is another option. urfave looks at each option for each other one: with
// all of them a line takes a millisecond, and a Makefile may have hundreds.
func occurring(words []string, more []cli.Flag) []cli.Flag {
	used, other := map[cli.Flag]cli.Flag{}, false
	for _, word := range words {
		name, _, _ := strings.Cut(strings.TrimLeft(word, "-"), "=")
		f := known()[name]
		switch {
		case word == "" || word[0] != '-':
		case f == nil:
			other = true
		case used[f] == nil:
			own := reflect.New(reflect.TypeOf(f).Elem())
			own.Elem().Set(reflect.ValueOf(f).Elem())
			used[f] = own.Interface().(cli.Flag)
		}
	}
	flags := slices.Collect(maps.Values(used))
	if other {
		flags = append(flags, more...)
	}
	return flags
}

// Spec returns the step that the options describe. Host paths are absolute; nothing else is checked
// yet.
func (c *Call) Spec() (*step.Spec, error) {
	s := new(step.Spec)
	if path := c.String("spec"); path != "" {
		var err error
		if s, err = readSpec(path); err != nil {
			return nil, err
		}
	}
	c.override(s)
	for _, add := range []func(*step.Spec) error{c.addInputs, c.addMounts, c.addSetup, c.addEnv, c.addSecrets, c.addLimits} {
		if err := add(s); err != nil {
			return nil, err
		}
	}
	dir, err := os.Getwd()
	if err != nil {
		return nil, fmt.Errorf("cannot find the working directory: %w", err)
	}
	s.Absolute(dir)
	return s, nil
}

func readSpec(path string) (*step.Spec, error) {
	if path == "-" {
		return step.ReadSpec(os.Stdin)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read the spec: %w", err)
	}
	defer f.Close()
	return step.ReadSpec(f)
}

// override replaces the fields of s for which an option is given.
func (c *Call) override(s *step.Spec) {
	for name, field := range map[string]*string{
		"step": &s.Step, "name": &s.Name, "image": &s.Image, "output": &s.Output, "cwd": &s.Cwd,
		"user": &s.User, "platform": &s.Platform, "hostname": &s.Hostname, "pull": (*string)(&s.Pull), "network": (*string)(&s.Network),
	} {
		if c.IsSet(name) {
			*field = c.String(name)
		}
	}
	if c.IsSet("entrypoint") {
		s.Entrypoint = new([]string)
		if program := c.String("entrypoint"); program != "" {
			*s.Entrypoint = []string{program}
		}
	}
	if c.IsSet("timeout") {
		s.Timeout = step.Duration(c.Duration("timeout"))
	}
	for name, field := range map[string]*bool{"no-init": &s.NoInit, "read-only": &s.ReadOnly, "32-bit": &s.Bits32, "userns": &s.Userns} {
		if c.IsSet(name) {
			*field = c.Bool(name)
		}
	}
	if c.Command != nil {
		s.Cmd = c.Command
	}
}

func (c *Call) addInputs(s *step.Spec) error {
	for _, name := range []string{"input", "optional-input", "copy-input"} {
		for _, value := range c.StringSlice(name) {
			in, err := step.ParseInput(value)
			if err != nil {
				return err
			}
			in.Optional, in.Copy = name == "optional-input", name == "copy-input"
			s.Inputs = append(s.Inputs, in)
		}
	}
	return nil
}

func (c *Call) addMounts(s *step.Spec) error {
	for name, list := range map[string]*[]step.Mount{"mount": &s.Mounts, "source": &s.Sources} {
		for _, value := range c.StringSlice(name) {
			m, err := step.ParseMount(value)
			if err != nil {
				return err
			}
			*list = append(*list, m)
		}
	}
	for _, value := range c.StringSlice("tmpfs") {
		t, err := step.ParseTmpfs(value)
		if err != nil {
			return err
		}
		s.Tmpfs = append(s.Tmpfs, t)
	}
	s.Devices = append(s.Devices, c.StringSlice("device")...)
	s.CapAdd = append(s.CapAdd, c.StringSlice("cap-add")...)
	s.CapDrop = append(s.CapDrop, c.StringSlice("cap-drop")...)
	return addCaches(&s.Caches, c.StringSlice("cache"))
}

func addCaches(list *[]step.Cache, values []string) error {
	for _, value := range values {
		cache, err := step.ParseCache(value)
		if err != nil {
			return err
		}
		*list = append(*list, cache)
	}
	return nil
}

func (c *Call) addSetup(s *step.Spec) error {
	if c.IsSet("setup") {
		s.Setup = &step.Setup{Cmd: []string{"sh", "-c", c.String("setup")}}
	}
	if s.Setup == nil {
		for _, option := range []string{"setup-network", "setup-cache"} {
			if c.IsSet(option) {
				return name.Usage("--%s needs --setup", option)
			}
		}
		return nil
	}
	if c.IsSet("setup-network") {
		s.Setup.Network = step.Network(c.String("setup-network"))
	}
	return addCaches(&s.Setup.Caches, c.StringSlice("setup-cache"))
}

func (c *Call) addEnv(s *step.Spec) error {
	if s.Env == nil {
		s.Env = map[string]string{}
	}
	for _, path := range c.StringSlice("env-file") {
		if err := step.ReadEnvFile(path, s.Env); err != nil {
			return fmt.Errorf("cannot read the env file: %w", err)
		}
	}
	for _, value := range c.StringSlice("env") {
		key, v, err := step.ParseEnv(value, os.LookupEnv)
		if err != nil {
			return err
		}
		s.Env[key] = v
	}
	return nil
}

func (c *Call) addSecrets(s *step.Spec) error {
	for _, name := range []string{"secret", "secret-env"} {
		for _, value := range c.StringSlice(name) {
			secret, err := step.ParseSecret(value)
			if err != nil {
				return err
			}
			secret.Env = name == "secret-env"
			s.Secrets = append(s.Secrets, secret)
		}
	}
	return nil
}

func (c *Call) addLimits(s *step.Spec) (err error) {
	for name, size := range map[string]*step.Size{"memory": &s.Memory, "shm-size": &s.ShmSize, "log-max": &s.LogMax} {
		if !c.IsSet(name) {
			continue
		}
		if *size, err = step.ParseSize(c.String(name)); err != nil {
			return err
		}
	}
	if c.IsSet("cpus") {
		s.CPUs = c.Float64("cpus")
	}
	if c.IsSet("pids") {
		s.Pids = c.Int64("pids")
	}
	if c.IsSet("cpus") && s.CPUs == 0 || c.IsSet("pids") && s.Pids == 0 {
		return name.Usage("a limit cannot be 0; leave the option out for no limit")
	}
	s.Ulimits = append(s.Ulimits, c.StringSlice("ulimit")...)
	return nil
}

// Timeout returns --timeout, or zero if it is not given. It is an error if it is not positive.
func (c *Call) Timeout() (time.Duration, error) {
	d := c.Duration("timeout")
	if c.IsSet("timeout") && d <= 0 {
		return 0, name.Usage("--timeout %s is not positive", d)
	}
	return d, nil
}
