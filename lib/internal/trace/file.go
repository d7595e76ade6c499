package trace

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// The types of a line of the file, as the OpenTelemetry protocol's file exporter writes it
// (https://opentelemetry.io/docs/specs/otel/protocol/file-exporter/): a TracesData in the JSON
// encoding of OTLP (https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding), where
// ids are in hexadecimal, 64-bit integers are strings, and enumerations are numbers. Names of
// attributes are those of the semantic conventions, or begin with "pipex.".
type (
	line struct {
		ResourceSpans [1]resourceSpans `json:"resourceSpans"`
	}
	resourceSpans struct {
		Resource struct {
			Attributes []attribute `json:"attributes"`
		} `json:"resource"`
		ScopeSpans [1]scopeSpans `json:"scopeSpans"`
	}
	scopeSpans struct {
		Scope struct {
			Name    string `json:"name"`
			Version string `json:"version"`
		} `json:"scope"`
		Spans []json.RawMessage `json:"spans"`
	}
	span struct {
		TraceID    string      `json:"traceId"`
		SpanID     string      `json:"spanId"`
		State      string      `json:"traceState,omitempty"`
		ParentID   string      `json:"parentSpanId,omitempty"`
		Name       string      `json:"name"`
		Kind       int         `json:"kind"`
		Start      string      `json:"startTimeUnixNano"`
		End        string      `json:"endTimeUnixNano"`
		Attributes []attribute `json:"attributes,omitempty"`
		Status     *status     `json:"status,omitempty"`
	}
	status struct {
		Message string `json:"message,omitempty"`
		Code    int    `json:"code"`
	}
	attribute struct {
		Key   string         `json:"key"`
		Value attributeValue `json:"value"`
	}
	attributeValue struct {
		String *string `json:"stringValue,omitempty"`
		Int    *string `json:"intValue,omitempty"`
	}
)

const (
	kindInternal = 1
	kindClient   = 3
	statusError  = 2
)

// encode returns a span that has ended as JSON.
func (t *tracer) encode(s *Span, end time.Time) []byte {
	nano := func(at time.Time) string {
		return strconv.FormatInt(t.began.UnixNano()+int64(at.Sub(t.began)), 10)
	}
	out := span{
		TraceID: t.trace.String(), SpanID: s.id.String(), State: t.State, Name: short(s.name), Kind: max(s.kind, kindInternal),
		Start: nano(s.start), End: nano(end), Attributes: s.attributes, Status: s.status,
	}
	if s.parent != 0 {
		out.ParentID = s.parent.String()
	}
	return marshal(out)
}

func marshal(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(err) // strings and numbers only
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// maxText is the most bytes of a name or a value that are kept: enough for most paths.
const maxText = 1 << 10

// short returns text cut to [maxText] bytes, in UTF-8.
func short(text string) string {
	if len(text) > maxText {
		n := maxText
		for !utf8.RuneStart(text[n]) {
			n--
		}
		text = text[:n]
	}
	return strings.ToValidUTF8(text, "\uFFFD")
}

// maxLine is the most bytes of a line, so that the spans of a long process need little memory.
const maxLine = 64 << 10

// pipeBuf is PIPE_BUF of pipe(7): up to so many bytes are written to a pipe at once.
const pipeBuf = 4096

// file is where the spans of this process go. Each line is appended by one write(2) to a file
// opened with O_APPEND, so lines of processes that run at once do not mix. Lines to a pipe are
// short enough for that, and its reader is never waited for. On a full disk, or without a
// reader, the rest of the spans is lost, and nothing else.
type file struct {
	path      string
	fd, limit int
	head      []byte // what stands before the spans of a line
	spans     []byte // those of the next line, each behind a comma
	lost      error
}

// tail is what stands behind the spans of a line.
const tail = "]}]}]}\n"

func openFile(c Config) *file {
	f := &file{path: c.Path, limit: maxLine}
	var stat unix.Stat_t
	f.fd, f.lost = unix.Open(c.Path, unix.O_WRONLY|unix.O_APPEND|unix.O_CREAT|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0o666)
	if f.lost == nil {
		f.lost = unix.Fstat(f.fd, &stat)
	}
	if stat.Mode&unix.S_IFMT == unix.S_IFIFO {
		f.limit = pipeBuf
	}
	host, _ := os.Hostname()
	var l line
	resource, scope := &l.ResourceSpans[0], &l.ResourceSpans[0].ScopeSpans[0]
	of := Span{}
	of.Set("service.name", "pipex")
	of.Set("service.version", c.Version)
	of.Set("host.name", host)
	of.Set("process.executable.name", c.Program)
	of.SetInt("process.pid", os.Getpid())
	resource.Resource.Attributes = of.attributes
	scope.Scope.Name, scope.Scope.Version, scope.Spans = "pipex", c.Version, []json.RawMessage{}
	f.head = bytes.TrimSuffix(marshal(l), []byte(tail[:len(tail)-1]))
	return f
}

// add adds a span to the next line. One that no line can hold is left out.
func (f *file) add(span []byte) {
	room := f.limit - len(f.head) - len(tail) - 1 - len(span)
	if room < 0 {
		return
	}
	if len(f.spans) > room {
		f.flush()
	}
	f.spans = append(append(f.spans, ','), span...)
}

// flush writes a line.
func (f *file) flush() {
	if len(f.spans) == 0 || f.lost != nil {
		f.spans = f.spans[:0]
		return
	}
	data := append(append(bytes.Clone(f.head), f.spans[1:]...), tail...)
	f.spans = f.spans[:0]
	n, err := unix.Write(f.fd, data)
	for err == unix.EINTR {
		n, err = unix.Write(f.fd, data)
	}
	if err == nil && n < len(data) {
		err = io.ErrShortWrite
	}
	f.lost = err
}

// close writes the last line, and returns why spans were lost, if some were.
func (f *file) close() error {
	f.flush()
	if f.fd >= 0 {
		unix.Close(f.fd)
	}
	switch {
	case f.lost == nil:
		return nil
	case f.lost == unix.ENXIO || f.lost == unix.EPIPE:
		f.lost = errors.New("nobody reads this pipe")
	case f.lost == unix.EAGAIN:
		f.lost = errors.New("the pipe is full, since its reader is too slow")
	}
	return fmt.Errorf("spans are lost: cannot write to %q: %w", f.path, f.lost)
}
