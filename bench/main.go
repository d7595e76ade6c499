// bench compares pipex with its peers, in turns on this machine, and says which targets are
// reached. README.md beside it says how to run and to read it; `make bench` runs it.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	o := options{}
	flag.BoolVar(&o.short, "short", false, "small sizes and one round: proves that all rows run, measures nothing")
	flag.IntVar(&o.rounds, "n", 0, "measure N rounds instead of each row's own number")
	flag.StringVar(&o.bin, "bin", "bin", "directory of the binaries that are measured")
	flag.StringVar(&o.with, "with", "", "compare with the binaries in this directory, and not with the peers")
	flag.StringVar(&o.keep, "keep", "", "write table, plot and history into this directory; nothing is written without it")
	list := flag.Bool("list", false, "list the rows")
	flag.Usage = func() {
		fmt.Fprintf(flag.CommandLine.Output(), "usage: bench [OPTION]... [ROW]...\n")
		flag.PrintDefaults()
	}
	flag.Parse()
	if *list {
		for _, r := range rows {
			fmt.Printf("%-10s %s\n", r.name, r.about)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	began := time.Now()
	if err := run(ctx, o, flag.Args()); err != nil {
		if ctx.Err() != nil {
			err = fmt.Errorf("interrupted")
		}
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	fmt.Fprintf(os.Stderr, "bench: done in %s\n", time.Since(began).Round(time.Second))
}
