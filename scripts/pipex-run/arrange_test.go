package main

import (
	"os"
	"slices"
	"strings"
	"testing"
)

func TestArrange(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, err := range []error{os.WriteFile("p.yaml", nil, 0o666), os.MkdirAll("dir", 0o777), os.WriteFile("dir/pipeline.yml", nil, 0o666), os.Mkdir("a", 0o777)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for args, want := range map[string]string{
		"":                                   "",
		"p.yaml":                             "p.yaml",
		"p.yaml --force":                     "--force p.yaml",
		"--force p.yaml":                     "--force p.yaml",
		"-f dir":                             "--force dir",
		"--force a,b p.yaml":                 "--force=a,b p.yaml",
		"-f a p.yaml":                        "--force=a p.yaml", // a directory without a pipeline
		"p.yaml -f a --json":                 "--force=a --json p.yaml",
		"-f=a --force=b --force":             "--force=a --force=b --force",
		"-f -t b":                            "--force -t b",
		"p.yaml --target a,b -w ws -c 4":     "--target a,b -w ws -c 4 p.yaml",
		"p.yaml --workdir d --env-file=e -d": "--workdir d --env-file=e --detach p.yaml",
		"-w --force p.yaml":                  "-w --force p.yaml", // -w takes what comes
		"-w":                                 "-w",
		"a b --json":                         "--json a b",
		"--json -- p.yaml --force":           "--json -- p.yaml --force",
		"- --json":                           "--json -",
		"--attach=17 --json":                 "--attach --json 17",
		"--stop=17":                          "--stop 17",
	} {
		if got := arrange(strings.Fields(args)); !slices.Equal(got, strings.Fields(want)) {
			t.Errorf("%s: %q, not %s", args, got, want)
		}
	}
}
