package workspace

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strconv"
	"strings"

	"pipex/lib/step"
)

// decodeMeta reads a record. @livingdata/pipex writes what stands in the pipeline file, so
// that a string in env or cmd may be a number, a boolean, null or an object there. Such a
// value is read as its JSON text. A record with another type elsewhere is an error: nothing
// is decided by half a record.
//
// @livingdata/pipex records only whether there was a network, which was docker's bridge.
func decodeMeta(data []byte, m *Meta) error {
	if err := decodeAdapted(data, m); err != nil {
		return err
	}
	if m.Network == "" && m.PreparedAt.IsZero() {
		m.Network = network(m.AllowNetwork)
		if m.Setup != nil {
			m.Setup.Network = network(m.Setup.AllowNetwork)
		}
	}
	return nil
}

func network(allowed bool) step.Network {
	if allowed {
		return step.NetworkBridge
	}
	return step.NetworkNone
}

func decodeAdapted(data []byte, m *Meta) error {
	err := json.Unmarshal(data, m)
	var wrong *json.UnmarshalTypeError
	if !errors.As(err, &wrong) {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber() // keeps 1.50 as it is
	var value any
	if err := d.Decode(&value); err != nil {
		return err
	}
	if data, err = json.Marshal(adapt(value, reflect.TypeFor[Meta]())); err != nil {
		return err
	}
	*m = Meta{}
	return json.Unmarshal(data, m)
}

// adapt returns a JSON value with its parts in the form in which t reads them, where
// JavaScript takes one form for another. It leaves everything else as it is.
func adapt(value any, t reflect.Type) any {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if reflect.PointerTo(t).Implements(reflect.TypeFor[json.Unmarshaler]()) {
		return value
	}
	switch t.Kind() {
	case reflect.String:
		if _, is := value.(string); !is && value != nil {
			return jsonText(value)
		}
	case reflect.Bool: // as JavaScript's "if" takes it
		switch v := value.(type) {
		case string:
			return v != ""
		case json.Number:
			f, _ := v.Float64()
			return f != 0
		}
	case reflect.Slice:
		if list, is := value.([]any); is {
			for i := range list {
				list[i] = adaptElement(list[i], t.Elem())
			}
		}
	case reflect.Map:
		if list, is := value.([]any); is { // its entries are numbered
			object := map[string]any{}
			for i, v := range list {
				object[strconv.Itoa(i)] = v
			}
			value = object
		}
		if object, is := value.(map[string]any); is {
			for key := range object {
				object[key] = adaptElement(object[key], t.Elem())
			}
		} else {
			return nil
		}
	case reflect.Struct:
		if object, is := value.(map[string]any); is {
			for _, f := range reflect.VisibleFields(t) {
				key, _, _ := strings.Cut(f.Tag.Get("json"), ",")
				if v, has := object[key]; has && key != "" {
					object[key] = adapt(v, f.Type)
				}
			}
		}
	}
	return value
}

// adaptElement is adapt for an element of a list or a map, where null is a text, too.
func adaptElement(value any, t reflect.Type) any {
	if value == nil && t.Kind() == reflect.String {
		return "null"
	}
	return adapt(value, t)
}

func jsonText(value any) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(value); err != nil {
		return ""
	}
	return strings.TrimSuffix(b.String(), "\n")
}
