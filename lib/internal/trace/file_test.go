package trace

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	v1 "go.opentelemetry.io/proto/otlp/trace/v1"
	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/encoding/protojson"
)

// ids are the fields that OTLP has in hexadecimal, where protobuf's JSON has base64.
var ids = regexp.MustCompile(`"(traceId|spanId|parentSpanId)":"([0-9a-f]*)"`)

// spans reads a file as the types of the protocol say, each field known and of its type, and
// checks what each reader relies on.
func spans(t *testing.T, data []byte) (all []*v1.Span) {
	t.Helper()
	if !bytes.HasSuffix(data, []byte("\n")) {
		t.Fatalf("%q ends within a line", data)
	}
	for l := range bytes.Lines(data) {
		l = ids.ReplaceAllFunc(l, func(field []byte) []byte {
			m := ids.FindSubmatch(field)
			id, err := hex.DecodeString(string(m[2]))
			if err != nil {
				t.Fatal(err)
			}
			return fmt.Appendf(nil, `"%s":"%s"`, m[1], base64.StdEncoding.EncodeToString(id))
		})
		var read v1.TracesData
		if err := protojson.Unmarshal(l, &read); err != nil {
			t.Fatalf("%v: %.500s", err, l)
		}
		for _, r := range read.ResourceSpans {
			known := map[string]bool{}
			for _, a := range r.Resource.Attributes {
				known[a.Key] = true
			}
			if !known["service.name"] || !known["process.pid"] || !known["host.name"] || !known["service.version"] {
				t.Errorf("%v", r.Resource)
			}
			for _, s := range r.ScopeSpans {
				all = append(all, s.Spans...)
			}
		}
	}
	byID := map[string]*v1.Span{}
	for _, s := range all {
		if len(s.TraceId) != 16 || len(s.SpanId) != 8 || s.Name == "" || s.EndTimeUnixNano < s.StartTimeUnixNano || s.Kind == 0 || byID[string(s.SpanId)] != nil {
			t.Errorf("%v", s)
		}
		byID[string(s.SpanId)] = s
	}
	for _, s := range all {
		if p := byID[string(s.ParentSpanId)]; p != nil && (s.StartTimeUnixNano < p.StartTimeUnixNano || s.EndTimeUnixNano > p.EndTimeUnixNano || string(s.TraceId) != string(p.TraceId)) {
			t.Errorf("%v is not within %v", s, p)
		}
	}
	return all
}

// written is what a file holds after do was traced to it.
func written(t *testing.T, path string, status int, do func()) []*v1.Span {
	t.Helper()
	Begin(Config{Program: "p", Version: "1", Path: path, Parent: example, State: "a=b"})
	do()
	if err := End(status, status != 0); err != nil {
		t.Error(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return spans(t, data)
}

func attributeOf(s *v1.Span, key string) string {
	for _, a := range s.Attributes {
		if a.Key == key {
			return strings.Trim(strings.TrimPrefix(strings.TrimPrefix(a.Value.String(), "string_value:"), "int_value:"), `"`)
		}
	}
	return ""
}

func TestSpansInFile(t *testing.T) {
	all := written(t, filepath.Join(t.TempDir(), "trace"), 7, func() {
		Name("step a", "pipex.step", "a", "pipex.run", "", "pipex.step", "b")
		end := Region("hash %s", "/a\xff<\"\n")
		ctx, call := Start(t.Context(), "pkg.Service/Method")
		call.Call()
		call.Fail("not found")
		_, within := Start(ctx, "within", strings.Repeat("ä", maxText))
		within.End()
		call.End()
		end()
		_, command := Start(t.Context(), "command")
		command.EndAt(time.Unix(0, 0)) // before it began
	})
	var got []string
	names := map[string]string{}
	for _, s := range all {
		names[string(s.SpanId)] = s.Name
	}
	for _, s := range all {
		got = append(got, fmt.Sprintf("%s<%s %v %v", s.Name, names[string(s.ParentSpanId)], s.Kind, s.Status.GetCode()))
		if hex.EncodeToString(s.TraceId) != example[3:35] || s.TraceState != "a=b" {
			t.Errorf("%v is not in the caller's trace", s)
		}
	}
	want := "start<step a SPAN_KIND_INTERNAL STATUS_CODE_UNSET; within<pkg.Service/Method SPAN_KIND_INTERNAL STATUS_CODE_UNSET; " +
		"pkg.Service/Method<hash SPAN_KIND_CLIENT STATUS_CODE_ERROR; hash<step a SPAN_KIND_INTERNAL STATUS_CODE_UNSET; " +
		"command<step a SPAN_KIND_INTERNAL STATUS_CODE_UNSET; step a< SPAN_KIND_INTERNAL STATUS_CODE_ERROR"
	if s := strings.Join(got, "; "); s != want {
		t.Errorf("%s\nwant %s", s, want)
	}
	root := all[len(all)-1]
	if hex.EncodeToString(root.ParentSpanId) != example[36:52] {
		t.Errorf("%x is not the caller's span", root.ParentSpanId)
	}
	for key, want := range map[string]string{"pipex.step": "a", "pipex.run": "", "process.exit.code": "7", "error.type": "7"} {
		if got := attributeOf(root, key); got != want {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}
	if of := attributeOf(all[1], "pipex.of"); len(of) > maxText || len(of) < maxText-1 {
		t.Errorf("%d bytes of a value", len(of))
	}
}

// Processes that write to one file at once, a line or many each, leave whole lines.
func TestSpansOfManyProcesses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "trace")
	const processes, each = 8, 500
	var all sync.WaitGroup
	for range processes {
		all.Go(func() {
			f := openFile(Config{Program: "p", Path: path})
			traced := &tracer{began: time.Now(), trace: newTraceID()}
			for i := range each {
				f.add(traced.encode(&Span{name: fmt.Sprint(i), id: newSpanID(), start: traced.began}, time.Now()))
			}
			if err := f.close(); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(spans(t, data)); n != processes*each {
		t.Errorf("%d spans", n)
	}
	lines := 0
	for l := range bytes.Lines(data) {
		lines++
		if len(l) > maxLine {
			t.Errorf("a line of %d bytes", len(l))
		}
	}
	if lines <= processes {
		t.Errorf("%d lines: the bound was not reached", lines)
	}
}

// A pipe without a reader, one that is full, a full disk and a wrong path lose spans. They
// neither hang nor fail what is traced, and the end says so once.
func TestSpansThatCannotBeWritten(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		fifo:                      "nobody reads this pipe",
		"/dev/full":               "no space left on device",
		dir:                       "is a directory",
		filepath.Join(dir, "a/b"): "no such file or directory",
	} {
		Begin(Config{Program: "p", Path: path})
		for range 1000 {
			Region("part")()
		}
		if err := End(0, false); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%v, want %q", err, want)
		}
	}

	reader, err := os.OpenFile(fifo, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	Begin(Config{Program: "p", Path: fifo})
	for range 1000 {
		Region("part")()
	}
	if err := End(0, false); err == nil || !strings.Contains(err.Error(), "too slow") {
		t.Errorf("%v", err)
	}
	read := make([]byte, 1<<20)
	n, err := reader.Read(read)
	if err != nil {
		t.Fatal(err)
	}
	spans(t, read[:n])
	for l := range bytes.Lines(read[:n]) {
		if len(l) > pipeBuf {
			t.Errorf("a line of %d bytes in a pipe", len(l))
		}
	}
}
