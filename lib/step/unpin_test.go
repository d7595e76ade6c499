package step

import (
	"reflect"
	"testing"
)

// lost are the fields of a spec that a record does not have.
var lost = map[string]bool{"Pull": true, "Inputs.Run": true, "Inputs.Optional": true}

// A decided step gives back the spec that it was decided from, every field of it, those that
// are added later included.
func TestSpecOfPinned(t *testing.T) {
	s := new(Spec)
	fillAll(t, reflect.ValueOf(s).Elem(), "")
	s.Pull = PullMissing
	s = s.Complete()
	p := s.Pin()
	// What prepare looks up.
	for _, in := range s.Inputs {
		p.Inputs = append(p.Inputs, PinnedInput{Step: in.Step, RunID: "r", MountedAs: in.Path, Copied: in.Copy})
	}
	for _, m := range s.Mounts {
		p.Mounts = append(p.Mounts, PinnedMount{HostPath: m.Host, ContainerPath: m.Path})
	}
	for _, m := range s.Sources {
		p.Sources = append(p.Sources, PinnedMount{HostPath: m.Host, ContainerPath: m.Path})
	}
	p.Userns = new(IDMap)
	got := recorded(t, p).Spec().Complete()
	same(t, reflect.ValueOf(*s), reflect.ValueOf(*got), "")
}

// fillAll gives each field a value that is not its zero value.
func fillAll(t *testing.T, v reflect.Value, path string) {
	t.Helper()
	switch v.Kind() {
	case reflect.String:
		v.SetString("some")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int64:
		v.SetInt(5_000_000_000)
	case reflect.Float64:
		v.SetFloat(1.5)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fillAll(t, v.Elem(), path)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fillAll(t, v.Index(0), path)
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.ValueOf("K"), reflect.ValueOf("V"))
	case reflect.Struct:
		for i := range v.NumField() {
			fillAll(t, v.Field(i), path+"."+v.Type().Field(i).Name)
		}
	default:
		t.Fatalf("%s: what is a value of a %s?", path, v.Kind())
	}
}

// same compares field by field, so that what is lost can be left out.
func same(t *testing.T, want, got reflect.Value, path string) {
	t.Helper()
	switch {
	case lost[path]:
	case want.Kind() == reflect.Struct:
		for i := range want.NumField() {
			f := want.Type().Field(i)
			name := path
			if !f.Anonymous {
				name = f.Name
				if path != "" {
					name = path + "." + f.Name
				}
			}
			same(t, want.Field(i), got.Field(i), name)
		}
	case want.Kind() == reflect.Slice && want.Len() == got.Len():
		for i := range want.Len() {
			same(t, want.Index(i), got.Index(i), path)
		}
	case !reflect.DeepEqual(want.Interface(), got.Interface()):
		t.Errorf("%s: %v, want %v", path, got, want)
	}
}
