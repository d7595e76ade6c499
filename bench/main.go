// bench measures how long a whole step takes, compared with ctr and runc running the same
// container, and how long each verb takes. Each round runs everything once, so that a machine
// which slows down affects all of them. It prints medians.
//
// `make bench` runs it. It needs the verbs, ctr and runc on PATH, containerd at
// $CONTAINERD_ADDRESS, and the image busybox in the namespace pipex.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"time"
)

func main() {
	rounds := flag.Int("n", 30, "rounds")
	flag.Parse()
	if err := run(*rounds); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// bench collects times by name, in the order in which the names are first used.
type bench struct {
	dir   string
	names []string
	times map[string][]time.Duration
}

func run(rounds int) error {
	dir, err := os.MkdirTemp("", "pipex-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	os.Setenv("PIPEX_WORKDIR", filepath.Join(dir, "workdir"))
	b := &bench{dir: dir, times: map[string][]time.Duration{}}
	if err := b.bundle(); err != nil {
		return err
	}
	for i := -2; i < rounds; i++ { // the first two only warm up
		if i == 0 {
			b.names, b.times = nil, map[string][]time.Duration{}
		}
		if err := b.round(i); err != nil {
			return err
		}
	}
	b.print()
	_, err = output("pipex-prune")
	return err
}

// round runs everything once.
func (b *bench) round(i int) error {
	steps := []func() error{
		b.step,
		func() error {
			return b.time("ctr run --rm", "ctr", "-n", "pipex", "run", "--rm", "busybox:latest", fmt.Sprint("pipex-bench-", i+2), "true")
		},
		func() error { return b.time("runc run", "runc", "run", "-b", b.dir, fmt.Sprint("pipex-bench-", i+2)) },
		b.containerless,
	}
	for _, do := range steps {
		if err := do(); err != nil {
			return err
		}
	}
	return nil
}

// step measures prepare, exec of true, commit and link: each of them, and all together.
func (b *bench) step() error {
	began := time.Now()
	id, err := b.run("  prepare", "pipex-prepare", "--step", "bench", "--image", "busybox", "--", "true")
	if err != nil {
		return err
	}
	for _, verb := range [][]string{{"exec", id}, {"commit", id}, {"link", "bench", id}} {
		if err := b.time("  "+verb[0], "pipex-"+verb[0], verb[1:]...); err != nil {
			return err
		}
	}
	b.add("step", time.Since(began))
	id, err = output("pipex-prepare", "--image", "busybox", "--", "true")
	if err != nil {
		return err
	}
	return b.time("discard", "pipex-discard", id)
}

// containerless measures the verbs on runs without a container.
func (b *bench) containerless() error {
	id, err := b.run("prepare, no image", "pipex-prepare")
	if err != nil {
		return err
	}
	if err := b.time("commit, no image", "pipex-commit", id); err != nil {
		return err
	}
	if err := b.time("link STEP", "pipex-link", "bench"); err != nil {
		return err
	}
	if id, err = output("pipex-prepare"); err != nil {
		return err
	}
	return b.time("discard, no image", "pipex-discard", id)
}

func (b *bench) time(name, command string, args ...string) error {
	_, err := b.run(name, command, args...)
	return err
}

func (b *bench) run(name, command string, args ...string) (string, error) {
	began := time.Now()
	out, err := output(command, args...)
	b.add(name, time.Since(began))
	return out, err
}

func (b *bench) add(name string, d time.Duration) {
	if b.times[name] == nil {
		b.names = append(b.names, name)
	}
	b.times[name] = append(b.times[name], d)
}

// bundle makes the bundle that runc runs: true, from the same busybox as in the image.
func (b *bench) bundle() error {
	root := filepath.Join(b.dir, "rootfs")
	for _, dir := range []string{"bin", "proc", "dev", "sys"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			return err
		}
	}
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		return err
	}
	data, err := os.ReadFile(busybox)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(root, "bin", "true"), data, 0o755); err != nil {
		return err
	}
	if _, err := output("runc", "spec", "-b", b.dir); err != nil {
		return err
	}
	config := filepath.Join(b.dir, "config.json")
	if data, err = os.ReadFile(config); err != nil {
		return err
	}
	text := strings.Replace(string(data), `"sh"`, `"true"`, 1)
	text = strings.Replace(text, `"terminal": true`, `"terminal": false`, 1)
	return os.WriteFile(config, []byte(text), 0o644)
}

func (b *bench) print() {
	ctr := median(b.times["ctr run --rm"])
	fmt.Printf("%-20s %9s %9s %9s %8s\n", "", "min ms", "median ms", "max ms", "of ctr")
	for _, name := range b.names {
		times := b.times[name]
		sort.Slice(times, func(i, j int) bool { return times[i] < times[j] })
		mid := median(times)
		fmt.Printf("%-20s %9.1f %9.1f %9.1f %8.2f\n", name, ms(times[0]), ms(mid), ms(times[len(times)-1]), float64(mid)/float64(ctr))
	}
}

func median(times []time.Duration) time.Duration {
	sorted := append([]time.Duration(nil), times...)
	sort.Slice(sorted, func(i, j int) bool { return sorted[i] < sorted[j] })
	return sorted[len(sorted)/2]
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func output(command string, args ...string) (string, error) {
	out, err := exec.Command(command, args...).Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = fmt.Errorf("%s: %w: %s", command, err, exit.Stderr)
	}
	return strings.TrimSpace(string(out)), err
}
