// pipex-run runs a pipeline's file: it is pipex-pipeline --run, with the options also where
// and as @livingdata/pipex takes them. It is no shell script, since a shell may drop
// variables that conditions ask for: dash does, if the name is none that it can set.
package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

const help = `usage: pipex-run [OPTION...] [FILE|DIR]
       pipex-run --attach|--stop [ID]

Runs the pipeline in FILE, or in DIR's pipeline.yml, pipeline.yaml or
pipeline.json: each step as soon as its inputs are there, and only if something
has changed. What becomes of a step is a line on stderr; what it prints goes to
its logs, of which the end is shown if it fails.

  -w, --workspace WS     where; else $PIPEX_WORKSPACE, else the pipeline's id
  --workdir DIR          of the workspaces; else $PIPEX_WORKDIR, else workdir
  -f, --force [STEP,...] run all steps, or these, even if they are up to date
  -t, --target STEP,...  these steps, and what they need
  -c, --concurrency N    so many steps at once; else one for each processor
  --dry-run              run and write nothing; print for each step what would be
  --env-file FILE        variables for all steps
  --network NET          what allowNetwork gives: host (default), bridge, cni:NAME
  --verbose              what the steps print, too, behind [STEP]
  -q, --quiet            failures only
  --json                 events on stdout instead, one JSON object a line
  -d, --detach           run in the background, and print the ID of that at once
  --attach [ID]          show it from its beginning to its end, with its exit status;
                         the newest without ID. ^C leaves it running
  --stop [ID]            end it, as ^C would without --detach

Options may also stand after FILE. The containerd is that of $CONTAINERD_ADDRESS and
$PIPEX_NAMESPACE. pipex-pipeline reads the file and tells what happens; between them
it is make with pipex.mk.

Exit status: 0 done, 1 a step failed, 128 cannot, 129 wrong usage or a wrong
file, 128+N ended by signal N.
`

func main() {
	for _, word := range os.Args[1:] {
		if word == "--" {
			break
		}
		if word == "-h" || word == "--help" {
			fmt.Print(help)
			return
		}
	}
	fmt.Fprintln(os.Stderr, "pipex-run:", run(os.Args[1:])) // it returns only if it fails
	os.Exit(128)
}

// run goes on as pipex-pipeline, and returns if that fails.
func run(args []string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	here := filepath.Dir(self)
	os.Setenv("PATH", os.Getenv("PATH")+":"+here)
	for _, program := range []string{"make", "pipex-step", "pipex-prepare"} {
		if _, err := exec.LookPath(program); err != nil {
			return fmt.Errorf("cannot find %s on PATH; install it", program)
		}
	}
	pipeline, err := exec.LookPath("pipex-pipeline")
	if err != nil {
		return errors.New("cannot find pipex-pipeline on PATH; install it")
	}
	rules, err := findRules(here)
	if err != nil {
		return err
	}
	os.Setenv("PIPEX_MK", rules)
	err = syscall.Exec(pipeline, append([]string{"pipex-run", "--run"}, arrange(args)...), os.Environ())
	return fmt.Errorf("cannot run %q: %w", pipeline, err)
}

// findRules returns the path of pipex.mk: installed, in a directory beside that of the
// programs; in a source tree, on PATH.
func findRules(here string) (string, error) {
	places := append([]string{here, filepath.Join(here, "../include")}, filepath.SplitList(os.Getenv("PATH"))...)
	for _, dir := range places {
		path, err := filepath.Abs(filepath.Join(dir, "pipex.mk"))
		if err != nil {
			return "", err
		}
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			return path, nil
		}
	}
	return "", errors.New("cannot find pipex.mk beside pipex-run, in ../include, or on PATH")
}
