package pipeline

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// View shows events as they come.
type View struct {
	// Out gets the events, a JSON object a line; it may be nil.
	Out io.Writer
	// Err gets a line for people for each event, unless there is an Out, and the last
	// words of steps that fail. With Failures these are all that it gets lines for.
	Err      io.Writer
	Failures bool
}

// Show shows an event. What cannot be written is lost: who reads may have gone away.
func (v *View) Show(e Event) {
	if v.Out != nil {
		if data, err := json.Marshal(e); err == nil {
			v.Out.Write(append(data, '\n'))
		}
	} else if line := e.line(); line != "" && (!v.Failures || e.matters()) {
		fmt.Fprintln(v.Err, line)
	}
	for _, line := range e.LastLines {
		fmt.Fprintln(v.Err, "    "+harmless(line))
	}
}

// matters tells whether people want to hear of the event who want to hear of nothing
// else.
func (e *Event) matters() bool {
	return e.Event == StepFailed && e.Reason != byInterrupt || e.Event == pipelineStopping
}

// line is the event for people; empty if they need not hear of it.
func (e *Event) line() string {
	switch {
	case e.Event == pipelineStopping:
		return "pipex-run: " + stopping(e.Steps)
	case e.Counts != nil:
		return "pipex-run: " + e.Counts.String() + fmt.Sprintf(", in %.1fs", float64(e.DurationMs)/1000)
	case e.Step == nil:
		return ""
	case e.Event == StepLog && e.Line != nil:
		return "[" + e.Step.ID + "] " + *e.Line
	}
	if text := e.outcome(); text != "" {
		return e.Step.ID + ": " + text
	}
	return ""
}

// outcome is what has become of a step; empty if people need not hear of it.
func (e *Event) outcome() string {
	code := 0
	if e.ExitCode != nil {
		code = *e.ExitCode
	}
	switch e.Event {
	case StepStarting:
		return "started"
	case StepSkipped:
		return map[string]string{
			ByCache: "up to date", ByCondition: "skipped, its condition does not hold", ByDependency: "skipped, a step that it needs has no result",
			byInterrupt: "not begun",
		}[e.Reason]
	case StepRetrying:
		return fmt.Sprintf("failed, and is tried again (%d of %d)", e.Attempt, e.MaxRetries)
	case StepFinished:
		text := fmt.Sprintf("done in %.1fs", float64(e.DurationMs)/1000)
		if code != 0 {
			text += fmt.Sprintf(", with status %d, which it may", code)
		}
		return text
	case StepFailed:
		switch {
		case e.Reason == byInterrupt && code == 0:
			return "stopped"
		case e.Reason == byInterrupt:
			return fmt.Sprintf("stopped, with status %d", code)
		case e.Reason != "":
			return "failed: " + harmless(e.Reason)
		}
		return fmt.Sprintf("failed with status %d", code)
	}
	return ""
}

// String says what is not zero, and how many steps were run.
func (c *Counts) String() string {
	text := fmt.Sprintf("%d run", c.Run)
	for _, count := range []struct {
		n    int
		what string
	}{{c.UpToDate, "up to date"}, {c.Failed, "failed"}, {c.Skipped, "skipped"}, {c.Stopped, "stopped"}} {
		if count.n > 0 {
			text += fmt.Sprintf(", %d %s", count.n, count.what)
		}
	}
	return text
}

func stopping(steps []StepName) string {
	var ids []string
	for _, s := range steps {
		ids = append(ids, s.ID)
	}
	switch len(ids) {
	case 0:
		return "stopping"
	case 1:
		return "stopping 1 step: " + ids[0] + "; once more kills it"
	}
	return fmt.Sprintf("stopping %d steps: %s; once more kills them", len(ids), strings.Join(ids, ", "))
}

// harmless is a line with "?" in place of what a terminal would take for a command: a
// step may print anything.
func harmless(line string) string {
	return strings.Map(func(c rune) rune {
		if c < ' ' && c != '\t' || c == 0x7f || c >= 0x80 && c < 0xa0 {
			return '?'
		}
		return c
	}, line)
}
