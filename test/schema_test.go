package test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"pipex/lib/workspace"
)

const schemaFile = "../docs/meta.schema.json"

// metaSchema is the JSON Schema of meta.json.
var metaSchema = sync.OnceValues(func() (*jsonschema.Schema, error) {
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	return c.Compile(schemaFile)
})

// odd are the scripts that write records which are damaged, or of other types than the fields have.
var odd = map[string]bool{"image-uses": true, "upstream-run": true, "upstream-types": true}

// conform returns an error that names the records below dir that the schema does not accept.
func conform(dir string) error {
	schema, err := metaSchema()
	if err != nil {
		return err
	}
	var all []error
	for _, pattern := range []string{"staging", "runs"} {
		for _, depth := range []string{"*", "*/*", "*/*/*"} {
			records, _ := filepath.Glob(filepath.Join(dir, depth, pattern, "*", "meta.json"))
			for _, record := range records {
				data, err := os.ReadFile(record)
				if errors.Is(err, fs.ErrNotExist) { // a run that ends, or is removed
					continue
				}
				value, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
				if err == nil {
					err = schema.Validate(value)
				}
				if err != nil {
					all = append(all, fmt.Errorf("%s: %w\n%s", record, err, data))
				}
			}
		}
	}
	return errors.Join(all...)
}

// The schema and the type that writes records have the same fields, at every depth.
func TestSchemaHasTheFields(t *testing.T) {
	t.Parallel()
	schema, err := metaSchema()
	if err != nil {
		t.Fatal(err)
	}
	sameFields(t, "record", schema, reflect.TypeFor[workspace.Meta]())
}

// sameFields compares an object of the schema with a struct.
func sameFields(t *testing.T, at string, s *jsonschema.Schema, typ reflect.Type) {
	for s != nil && s.Ref != nil {
		s = s.Ref
	}
	for typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	if s == nil || typ == reflect.TypeFor[workspace.Time]() {
		return
	}
	if typ.Kind() == reflect.Slice {
		sameFields(t, at+"[]", s.Items2020, typ.Elem())
		return
	}
	if typ.Kind() != reflect.Struct {
		return
	}
	var want, got []string
	for _, f := range reflect.VisibleFields(typ) {
		key, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if key == "" {
			continue
		}
		want = append(want, key)
		sameFields(t, at+"."+key, s.Properties[key], f.Type)
	}
	for key := range s.Properties {
		got = append(got, key)
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("%s: the schema has %q, the type %q", at, got, want)
	}
}
