package pipex_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	pipex "pipex/lib"
)

// A run without an image has no container: the caller writes its artifacts.
func Example() {
	ctx := context.Background()
	workdir, err := os.MkdirTemp("", "pipex-")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(workdir)

	ws, err := pipex.Create(workdir, "default")
	if err != nil {
		fmt.Println(err)
		return
	}
	prepared, err := ws.Prepare(ctx, pipex.Prepare{Spec: pipex.Spec{Step: "greet"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	run, err := ws.Run(prepared.RunID)
	if err == nil {
		err = os.WriteFile(filepath.Join(run.Artifacts(), "greeting"), []byte("hello\n"), 0o644)
	}
	if err == nil {
		_, err = ws.Commit(ctx, run.ID, pipex.Commit{})
	}
	if err == nil {
		err = ws.Link(ctx, "greet", run.ID)
	}
	if err != nil {
		fmt.Println(err)
		return
	}

	text, err := os.ReadFile(filepath.Join(ws.Root, "step-runs", "greet", "artifacts", "greeting"))
	fmt.Print(string(text))
	fmt.Println(err)
	// Output:
	// hello
	// <nil>
}

// The kind of an error is found with errors.Is and errors.As.
func ExampleOpen() {
	_, err := pipex.Open("/nowhere", "default")
	fmt.Println(errors.Is(err, pipex.ErrNoWorkspace))
	_, err = pipex.Open(".", "../secret")
	var wrong *pipex.NameError
	fmt.Println(errors.As(err, &wrong))
	// Output:
	// true
	// true
}

// Without a containerd, Prune still removes runs from the workspace and calls Warn.
// It keeps young runs. Pass Now only if no other process has committed a run that it
// still has to link.
func ExampleWorkspace_Prune() {
	ctx := context.Background()
	workdir, err := os.MkdirTemp("", "pipex-")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(workdir)
	ws, err := pipex.Create(workdir, "default")
	if err != nil {
		fmt.Println(err)
		return
	}
	ws.Containerd.Address = filepath.Join(workdir, "none.sock")
	ws.Warn = func(err error) { fmt.Println("warned") }
	spare, err := ws.Prepare(ctx, pipex.Prepare{RunID: "spare"})
	if err == nil {
		_, err = ws.Commit(ctx, spare.RunID, pipex.Commit{})
	}
	if err != nil {
		fmt.Println(err)
		return
	}
	gone, kept, err := ws.Prune(ctx, pipex.Prune{})
	fmt.Println(gone, kept.Runs, err)
	gone, kept, err = ws.Prune(ctx, pipex.Prune{OlderThan: pipex.Now})
	fmt.Println(gone, kept.Runs, err)
	// Output:
	// warned
	// [] 1 <nil>
	// warned
	// [spare] 0 <nil>
}
