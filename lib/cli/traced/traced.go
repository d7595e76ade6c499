// Package traced has a main program trace itself as its environment says. $PIPEX_TRACE is
// empty or 0 for nothing, 1 for lines on stderr, or the path of a file to which OpenTelemetry
// spans are appended. $TRACEPARENT and $TRACESTATE are the trace that the program is part of.
package traced

import (
	"context"
	"os"

	"pipex/lib/internal/trace"
	"pipex/lib/internal/version"
)

// Begin turns tracing on, if it is wanted and not on yet. A main program calls it first.
func Begin(program string) {
	if trace.On() {
		return
	}
	switch path := os.Getenv("PIPEX_TRACE"); path {
	case "", "0":
	case "1":
		Verbose(program)
	default:
		c := config(program)
		c.Path = path
		trace.Begin(c)
	}
}

// Verbose has lines printed on stderr from now on.
func Verbose(program string) {
	c := config(program)
	c.Lines = os.Stderr
	trace.ToLines(c)
}

func config(program string) trace.Config {
	return trace.Config{Program: program, Version: version.String(), Parent: os.Getenv("TRACEPARENT"), State: os.Getenv("TRACESTATE")}
}

// End writes what is left. The error says that spans were lost: a warning, since the program
// has done its work.
func End(status int, failed bool) error { return trace.End(status, failed) }

// Start begins a part of the program, and returns the function that ends it.
func Start(ctx context.Context, name string, of ...string) func() {
	_, part := trace.Start(ctx, name, of...)
	return part.End
}

// Name gives the span of the program another name, unless it is empty, and attributes.
func Name(name string, attributes ...string) { trace.Name(name, attributes...) }

// Parent returns the TRACEPARENT for what the program starts; "" if it writes no spans.
func Parent() string { return trace.Traceparent() }

// Environ returns the environment for what the program starts: it continues the trace.
func Environ() []string { return trace.Environ() }

// Detached is [Environ] for a program that has no stderr for lines.
func Detached() []string {
	env := trace.Environ()
	if os.Getenv("PIPEX_TRACE") == "1" {
		env = append(env, "PIPEX_TRACE=0")
	}
	return env
}

// Export changes the environment of a program that only starts others as [Environ] does.
func Export() { trace.Export() }

// Inherited reports whether the program was started as part of a trace.
func Inherited() bool { return trace.Inherited() }
