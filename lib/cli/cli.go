// Package cli is what the six main programs share: reading options, printing results, and
// turning an error into one line and an exit status.
//
// The output policy: stdout carries only results, one record per line. Everything for people
// goes to stderr, after the verb's name, in lower case and without a full stop. A verb that
// succeeds prints nothing else. There are no prompts.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/urfave/cli/v2"

	"pipex/lib/cli/traced"
	"pipex/lib/internal/cores"
	"pipex/lib/internal/userns"
	"pipex/lib/internal/version"
	"pipex/lib/name"
	"pipex/lib/run"
	"pipex/lib/step"
	"pipex/lib/workspace"
)

// The exit statuses of all verbs except exec, the same as of git's plumbing.
const (
	StatusDone     = 0
	StatusNo       = 1
	StatusUpToDate = 3
	StatusCannot   = 128
	StatusUsage    = 129
)

// Verb is one of the six binaries.
type Verb struct {
	Name string
	// Synopsis has the arguments after the name, for each form of the call.
	Synopsis []string
	// About says in one or two sentences what the verb does.
	About string
	Flags []cli.Flag
	// Statuses are lines for EXIT STATUS; nil for the common ones.
	Statuses []string
	// Examples are lines of shell.
	Examples []string
	// Command says that the arguments after -- are a container's command.
	Command bool
	// Failed is the status of every failure, for a verb that also forwards signals
	// to a command; 0 for the others, whose errors have statuses of their own.
	Failed int
	// Plain says that the verb stays outside a rootless containerd's namespaces: it does not use
	// containerd, or only by its socket.
	Plain bool
	// Waits says that the verb mostly waits for containerd; see [cores.One].
	Waits bool
	// Do does the work and returns the exit status. If it returns an error, the error
	// decides the status.
	Do func(*Call) (int, error)
}

// Call is one call of a verb.
type Call struct {
	*cli.Context
	verb    *Verb
	given   map[string]bool         // the options that were given; see IsSet
	found   *found                  // see Place
	display atomic.Pointer[display] // of the last work; nil if there was none
	// Args are the operands. Command is what follows --.
	Args, Command []string
	// Signals receives the signals to forward, for a verb with Exec.
	Signals chan os.Signal
}

// Main runs the verb with the process's arguments and exits.
func Main(v Verb) {
	if !v.Plain {
		putOffCollection()
	}
	if v.Waits {
		cores.One()
	}
	os.Exit(v.run(os.Args))
}

func (v *Verb) run(args []string) (status int) {
	traced.Begin(v.Name)
	call := &Call{verb: v, Signals: make(chan os.Signal, 16)}
	defer func() {
		call.Warn(traced.End(status, status != StatusDone && (status != StatusUpToDate || v.Failed != 0)))
	}()
	ctx, caught := v.signals(call)
	app := v.app(append(slices.Clone(v.Flags), globals()...), func(c *cli.Context) error {
		call.Context = c
		var err error
		if err = call.check(); err == nil && c.Bool("verbose") {
			traced.Verbose(v.Name)
		}
		if err == nil && !v.Plain {
			place := call.Place()
			err = userns.Join(place.Address, "PIPEX_WORKDIR="+place.Workdir, "CONTAINERD_ADDRESS="+place.Address)
		}
		if err == nil {
			call.showProgress()
			status, err = v.Do(call)
		}
		return err
	})
	options, command, hasCommand := cut(args)
	if hasCommand {
		call.Command = command
	}
	call.Args = nil
	err := app.RunContext(ctx, options)
	if err == nil {
		return status
	}
	var said *run.SaidError
	sig := caught()
	if sig != 0 {
		if !errors.As(err, &said) {
			fmt.Fprintf(os.Stderr, "%s: interrupted\n", v.Name)
		}
		return 128 + int(sig)
	}
	return v.fail(err)
}

// cut splits args at the first --.
func cut(args []string) (options, command []string, ok bool) {
	if i := slices.Index(args, "--"); i >= 0 {
		return args[:i], args[i+1:], true
	}
	return args, nil, false
}

// Notify is [signal.Notify] without the signals that the caller of the program has it
// ignore, as nohup(1) does, and a shell for a job in the background.
func Notify(c chan<- os.Signal, signals ...os.Signal) {
	for _, sig := range signals {
		if !signal.Ignored(sig) {
			signal.Notify(c, sig)
		}
	}
}

// signals returns the context of a call and a function that returns the signal which ended it, or
// 0. If the verb forwards signals, they do not end the context.
func (v *Verb) signals(call *Call) (context.Context, func() syscall.Signal) {
	if v.Failed != 0 {
		signal.Ignore(syscall.SIGPIPE) // if the reader is gone, the command goes on
		signal.Notify(call.Signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2)
		return context.Background(), func() syscall.Signal { return 0 }
	}
	ctx, cancel := context.WithCancel(context.Background())
	received := make(chan os.Signal, 1)
	Notify(received, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	got := make(chan syscall.Signal, 1)
	go func() {
		sig, _ := (<-received).(syscall.Signal)
		got <- sig
		cancel()
	}()
	return ctx, func() syscall.Signal {
		if ctx.Err() == nil {
			return 0
		}
		return <-got
	}
}

func init() { cli.HelpFlag, cli.VersionFlag = nil, nil } // ours are among the globals

// app returns an application of urfave/cli without those of its features that break the output
// policy.
func (v *Verb) app(flags []cli.Flag, action cli.ActionFunc) *cli.App {
	return &cli.App{
		Name:                      v.Name,
		Version:                   version.String(),
		HideHelp:                  true,
		HideHelpCommand:           true,
		HideVersion:               true,
		DisableSliceFlagSeparator: true,
		UseShortOptionHandling:    true,
		Writer:                    os.Stdout,
		ErrWriter:                 io.Discard,
		Flags:                     withNames(flags),
		OnUsageError:              func(_ *cli.Context, err error, _ bool) error { return v.usage(err, flags) },
		ExitErrHandler:            func(*cli.Context, error) {},
		Action: func(c *cli.Context) error {
			switch {
			case c.Bool("help"):
				return v.help(os.Stdout)
			case c.Bool("version"):
				_, err := fmt.Fprintf(os.Stdout, "%s %s\n", v.Name, version.Long())
				return err
			}
			return action(c)
		},
	}
}

// usage turns the flag package's error into a [*name.UsageError] in our words. flags are the
// options that there are.
func (v *Verb) usage(err error, flags []cli.Flag) error {
	msg := err.Error()
	if option, ok := strings.CutPrefix(msg, "flag provided but not defined: -"); ok {
		option = strings.TrimPrefix(option, "-")
		if near := near(option, flags); near != "" {
			return name.Usage("unknown option %q; did you mean --%s?", dashed(option), near)
		}
		msg = fmt.Sprintf("unknown option %q", dashed(option))
	} else if option, ok := strings.CutPrefix(msg, "flag needs an argument: "); ok {
		msg = fmt.Sprintf("option %q needs a value", "-"+option)
	} else if _, option, ok := strings.Cut(msg, " for -"); ok && strings.HasPrefix(msg, "invalid boolean value ") {
		option, _, _ = strings.Cut(option, ":")
		msg = fmt.Sprintf("option %q takes no value", dashed(option))
	} else if value, option, ok := strings.Cut(msg, " for flag -"); ok {
		option, _, _ = strings.Cut(option, ":")
		return name.Usage("%s", invalid(strings.TrimPrefix(value, "invalid value "), option, flags))
	}
	return name.Usage("%s; %s --help lists the options", msg, v.Name)
}

// dashed returns an option as it is typed.
func dashed(option string) string {
	if len(option) == 1 {
		return "-" + option
	}
	return "--" + option
}

// dockers are options of docker run that have another name here.
var dockers = map[string]string{"v": "mount", "volume": "mount", "e": "env", "u": "user", "m": "memory", "pids-limit": "pids", "net": "network"}

// near returns the long option that a misspelt one, or one of docker's, was meant to be, or "".
func near(option string, flags []cli.Flag) string {
	var known []string
	for _, f := range flags {
		if long := f.Names()[0]; len(long) > 1 {
			known = append(known, long)
		}
	}
	if ours := dockers[option]; slices.Contains(known, ours) {
		return ours
	}
	return name.Near(option, known)
}

// invalid says what is wrong with an option's value, which is quoted.
func invalid(value, option string, flags []cli.Flag) string {
	for _, f := range flags {
		if _, ok := f.(*cli.DurationFlag); ok && slices.Contains(f.Names(), option) {
			text, _ := strconv.Unquote(value)
			return fmt.Sprintf("--%s %s: %s", option, value, step.WrongDuration(text))
		}
	}
	return fmt.Sprintf("invalid value %s for %s", value, dashed(option))
}

// check refuses operands that look like options, and options with an empty value, since most
// likely a script's variable is not set.
func (c *Call) check() error {
	c.Args = c.Context.Args().Slice()
	if !c.verb.Command {
		c.Args, c.Command = append(c.Args, c.Command...), nil
	}
	if c.Command != nil && (len(c.Command) == 0 || c.Command[0] == "") {
		return name.Usage("the command after -- is empty")
	}
	for _, arg := range c.Args {
		if strings.HasPrefix(arg, "-") && arg != "-" { // standard input
			return name.Usage("%q stands after an operand; options come first: %s %s", arg, c.verb.Name, c.verb.Synopsis[0])
		}
	}
	for _, f := range c.App.Flags {
		option := f.Names()[0]
		if isString(f) && option != "entrypoint" && c.IsSet(option) && c.String(option) == "" {
			return name.Usage("--%s is empty", option)
		}
	}
	return nil
}

// fail prints an error to stderr, in one line, and returns its exit status.
func (v *Verb) fail(err error) int {
	said := new(run.SaidError)
	if !errors.As(err, &said) {
		fmt.Fprintf(os.Stderr, "%s: %s\n", v.Name, oneLine(err))
	}
	if v.Failed != 0 {
		return v.Failed
	}
	return Status(err)
}

// oneLine returns an error's message without line breaks.
func oneLine(err error) string {
	return strings.NewReplacer("\n", "; ", "\r", " ").Replace(err.Error())
}

// Status returns the exit status for an error, for all verbs except exec.
func Status(err error) int {
	var usage *name.UsageError
	var wrong *name.Error
	var busy *workspace.BusyError
	var said *run.SaidError
	switch {
	case err == nil:
		return StatusDone
	case errors.As(err, &said):
		return said.Status
	case errors.As(err, &usage), errors.As(err, &wrong):
		return StatusUsage
	case errors.As(err, &busy),
		errors.Is(err, workspace.ErrNoWorkspace), errors.Is(err, workspace.ErrNoRun), errors.Is(err, workspace.ErrNoStep),
		errors.Is(err, workspace.ErrNoCache), errors.Is(err, workspace.ErrRunning), errors.Is(err, workspace.ErrInUse),
		errors.Is(err, workspace.ErrCommitted), errors.Is(err, workspace.ErrNotCommitted),
		errors.Is(err, ErrNoContainerd),
		errors.Is(err, workspace.ErrNotSuccessful), errors.Is(err, workspace.ErrDamaged):
		return StatusNo
	}
	return StatusCannot
}
