// Package trace records what a program does and how long each part of it takes: as lines for
// a person, as OpenTelemetry spans in a file, or both. It costs nothing while it is off.
//
// The process is the outermost span, and each part is a span within another one: that of the
// context, else the innermost [Region]. What a process has recorded is written when it ends
// ([End]), or sooner if it is much, so a process that is killed loses the rest of its own
// spans and nobody else's.
package trace

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"
)

// Config says what is traced, and where to.
type Config struct {
	Program, Version string
	// Lines receives a line when a part has ended; nil for no lines.
	Lines io.Writer
	// Path is a file to which spans are appended; empty for none.
	Path string
	// Parent and State are the caller's TRACEPARENT and TRACESTATE; see [parseParent].
	Parent, State string
}

// tracer is the state of a process that is traced.
type tracer struct {
	Config
	began time.Time // the process; all other times are told by the monotonic clock since
	trace traceID
	flags byte
	root  *Span

	mu      sync.Mutex
	regions []*Span // that are open, the innermost last
	file    *file   // nil without a Path
}

// on is nil while tracing is off. Only a main program sets it, before anything is traced.
var on *tracer

// On reports whether tracing is on.
func On() bool { return on != nil }

// Begin turns tracing on. Only a main program calls it, as the first thing that it does.
// What the process has done so far is the part "start".
func Begin(c Config) {
	t := &tracer{Config: c, began: processBegan(), flags: sampled}
	root := &Span{tracer: t, name: c.Program, id: newSpanID(), start: t.began}
	if parent, ok := parseParent(c.Parent); ok {
		t.trace, root.parent, t.flags = parent.trace, parent.span, parent.flags|sampled
	} else {
		t.trace, t.State = newTraceID(), ""
	}
	t.root = root
	if c.Path != "" {
		t.file = openFile(c)
	}
	on = t
	(&Span{tracer: t, name: "start", id: newSpanID(), parent: root.id, depth: 1, start: t.began}).End()
}

// ToLines adds lines for a person to what is traced, or begins with them.
func ToLines(c Config) {
	if on == nil {
		Begin(c)
	} else if on.Lines == nil {
		on.Lines = c.Lines
	}
}

// End ends the process's span and turns tracing off. failed says whether the exit status is
// that of a failure. The error says that spans were lost, and why.
func End(status int, failed bool) error {
	t := on
	if t == nil {
		return nil
	}
	t.root.SetInt("process.exit.code", status)
	if failed {
		t.root.Set("error.type", fmt.Sprint(status))
		t.root.Fail(fmt.Sprintf("exit status %d", status))
	}
	t.root.End()
	on = nil
	if t.file == nil {
		return nil
	}
	return t.file.close()
}

// Name gives the process's span another name than the program's, unless that is empty, and
// attributes, as pairs of key and value. An empty value is left out, and so is a second one of
// a key.
func Name(name string, attributes ...string) {
	if on == nil {
		return
	}
	if name != "" {
		on.root.name = name
	}
	for i := 0; i+1 < len(attributes); i += 2 {
		known := slices.ContainsFunc(on.root.attributes, func(a attribute) bool { return a.Key == attributes[i] })
		if !known && attributes[i+1] != "" {
			on.root.Set(attributes[i], attributes[i+1])
		}
	}
}

// Region begins a part and returns the function that ends it. Defer that function, so that a
// part which fails is traced as well. The words of the format before the first verb name the
// part, the rest says of what it is. It is for code that does one thing after the other: a
// part that runs beside others is begun with [Start].
func Region(format string, args ...any) func() {
	t := on
	if t == nil {
		return nothing
	}
	name, of := format, ""
	if i := strings.IndexByte(format, '%'); i >= 0 {
		name, of = strings.TrimSpace(format[:i]), fmt.Sprintf(format[i:], args...)
	}
	s := t.begin(t.innermost(), name, of)
	t.mu.Lock()
	t.regions = append(t.regions, s)
	t.mu.Unlock()
	return func() {
		t.mu.Lock()
		t.regions = slices.DeleteFunc(t.regions, func(r *Span) bool { return r == s })
		t.mu.Unlock()
		s.End()
	}
}

func nothing() {}

// Start begins a part within that of ctx, and returns a context for the parts within it. of
// says of what the part is. The span is nil while tracing is off, and its methods do nothing
// then.
func Start(ctx context.Context, name string, of ...string) (context.Context, *Span) {
	t := on
	if t == nil {
		return ctx, nil
	}
	parent, ok := ctx.Value(key{}).(*Span)
	if !ok {
		parent = t.innermost()
	}
	s := t.begin(parent, name, strings.Join(of, " "))
	return context.WithValue(ctx, key{}, s), s
}

// key is that of the span in a context.
type key struct{}

func (t *tracer) begin(parent *Span, name, of string) *Span {
	s := &Span{tracer: t, name: name, of: of, id: newSpanID(), parent: parent.id, depth: parent.depth + 1, start: time.Now()}
	if of != "" {
		s.Set("pipex.of", of)
	}
	return s
}

// innermost returns the span that a new one is within, if nothing else says so.
func (t *tracer) innermost() *Span {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := len(t.regions); n > 0 {
		return t.regions[n-1]
	}
	return t.root
}

// Span is a part. One goroutine uses it. All methods may be called on nil.
type Span struct {
	tracer     *tracer
	id, parent spanID
	depth      int
	name, of   string
	kind       int
	start      time.Time
	attributes []attribute
	status     *status
}

// Set adds an attribute.
func (s *Span) Set(key, value string) {
	if s != nil {
		text := short(value)
		s.attributes = append(s.attributes, attribute{key, attributeValue{String: &text}})
	}
}

// SetInt adds an attribute.
func (s *Span) SetInt(key string, value int) {
	if s != nil {
		decimal := fmt.Sprint(value)
		s.attributes = append(s.attributes, attribute{key, attributeValue{Int: &decimal}})
	}
}

// Call says that the part is a call of another process.
func (s *Span) Call() {
	if s != nil {
		s.kind = kindClient
	}
}

// Fail says that the part failed, and why.
func (s *Span) Fail(why string) {
	if s != nil {
		s.status = &status{Code: statusError, Message: short(why)}
	}
}

// End ends the part now.
func (s *Span) End() {
	if s != nil {
		s.EndAt(time.Now())
	}
}

// EndAt ends the part at a time, but not before it began.
func (s *Span) EndAt(at time.Time) {
	if s == nil {
		return
	}
	if at.Before(s.start) {
		at = s.start
	}
	t := s.tracer
	t.mu.Lock()
	defer t.mu.Unlock()
	t.line(s, at)
	if t.file != nil {
		t.file.add(t.encode(s, at))
	}
}

func newSpanID() (id spanID) {
	for id == 0 {
		id = spanID(rand.Uint64())
	}
	return id
}

func newTraceID() traceID { return traceID{uint64(newSpanID()), rand.Uint64()} }
