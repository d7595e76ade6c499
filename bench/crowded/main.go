// crowded makes a large workspace, for measurements by hand:
//
//	go run ./bench/crowded -runs 100000 -steps 10000 workdir
package main

import (
	"flag"
	"fmt"
	"os"

	"pipex/bench/crowd"
	"pipex/lib/workspace"
)

func main() {
	runs, steps := flag.Int("runs", 100_000, "committed `runs`"), flag.Int("steps", 10_000, "`steps`, each linked to its newest run")
	name := flag.String("workspace", "default", "its `name`")
	flag.Parse()
	ws, err := workspace.Create(flag.Arg(0), *name)
	if err == nil {
		err = crowd.Fill(ws, *runs, *steps)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "crowded:", err)
		os.Exit(1)
	}
}
