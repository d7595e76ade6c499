package trace

import (
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

type (
	traceID [2]uint64
	spanID  uint64
)

func (id traceID) String() string { return fmt.Sprintf("%016x%016x", id[0], id[1]) }
func (id spanID) String() string  { return fmt.Sprintf("%016x", uint64(id)) }

// sampled is the flag of a trace that is recorded, random that of an id of random bits. Other
// flags of a caller are not passed on.
const (
	sampled = 0x01
	random  = 0x02
)

// parent is what a TRACEPARENT says.
type parent struct {
	trace traceID
	span  spanID
	flags byte
}

// parseParent reads a TRACEPARENT as W3C Trace Context has it
// (https://www.w3.org/TR/trace-context/#traceparent-header):
//
//	00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01
//
// It is not ok if it is anything else, and then a new trace begins, without a word and without
// the TRACESTATE. A later version may have more behind another hyphen. A caller that does not
// record (its last digits are 00) makes no difference: who sets PIPEX_TRACE wants a record.
func parseParent(s string) (p parent, ok bool) {
	const length = 55
	if len(s) < length || strings.Trim(s[:length], "0123456789abcdef-") != "" {
		return p, false
	}
	version, trace, span, flags := s[:2], s[3:35], s[36:52], s[53:length]
	if s[2] != '-' || s[35] != '-' || s[52] != '-' || version == "ff" || len(s) > length && (version == "00" || s[length] != '-') {
		return p, false
	}
	var raw [28]byte
	if n, err := hex.Decode(raw[:], []byte(version+trace+span+flags)); err != nil || n != 1+16+8+1 {
		return p, false
	}
	p.trace[0], _ = strconv.ParseUint(trace[:16], 16, 64)
	p.trace[1], _ = strconv.ParseUint(trace[16:], 16, 64)
	id, _ := strconv.ParseUint(span, 16, 64)
	p.span, p.flags = spanID(id), raw[25]&random
	return p, p.trace != traceID{} && p.span != 0
}

// Inherited reports whether this process was started as part of a trace.
func Inherited() bool { return on != nil && on.root.parent != 0 }

// Traceparent returns the TRACEPARENT of what this process starts; "" if it writes no spans.
// The parent is the process, and not a part of it, which may run in another goroutine and not
// end before the process does.
func Traceparent() string {
	t := on
	if t == nil || t.file == nil {
		return ""
	}
	return fmt.Sprintf("00-%s-%s-%02x", t.trace, t.root.id, t.flags)
}

// continued are the variables of what this process starts, if it writes spans; an empty one is
// not to be set. The file has its absolute path, since what is started may have another
// working directory.
func continued() map[string]string {
	p := Traceparent()
	if p == "" {
		return nil
	}
	path, err := filepath.Abs(on.Path)
	if err != nil {
		path = on.Path
	}
	return map[string]string{"TRACEPARENT": p, "TRACESTATE": on.State, "PIPEX_TRACE": path}
}

// Environ returns the environment of a process that this one starts and that continues the
// trace.
func Environ() []string {
	variables := continued()
	env := slices.DeleteFunc(os.Environ(), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		_, changed := variables[name]
		return changed
	})
	for name, value := range variables {
		if value != "" {
			env = append(env, name+"="+value)
		}
	}
	return env
}

// Export makes the environment of this process the one that [Environ] returns.
func Export() {
	for name, value := range continued() {
		if value != "" {
			os.Setenv(name, value)
		} else {
			os.Unsetenv(name)
		}
	}
}
