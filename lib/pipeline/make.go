package pipeline

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"pipex/lib/name"
	"pipex/lib/step"
)

// head is the first line of each makefile that Write makes.
const head = "# Made by pipex-pipeline, which makes it again; include $(PIPEX_MK) is pipex.mk.\n"

// Words that make and the shell take as they are. Paths that are none cannot be
// prerequisites.
var (
	plainPath  = regexp.MustCompile(`^[\pL\pN/._+@=-]+$`)
	plainImage = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._/:@-]*$`)
)

// Write puts into the directory, which it makes, a Makefile for pipex.mk and a spec
// for each step that runs, STEP.json. A file whose content stays the same is left
// alone, so that its time tells when the step changed; others are replaced whole or
// not at all, and specs are removed whose steps the Makefile had and has no more.
func (p *Pipeline) Write(dir string) error {
	if !plainPath.MatchString(dir) {
		return name.Usage("cannot write to %q: make would take its name for something else; use letters, digits and / . _ + @ = -", dir)
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return fmt.Errorf("cannot make %q: %w", dir, reason(err))
	}
	path := filepath.Join(dir, "Makefile")
	old, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cannot write to %q: %w", dir, reason(err))
	}
	if old != nil && !bytes.HasPrefix(old, []byte(head)) {
		return fmt.Errorf("cannot write %q: it is not pipex-pipeline's; use another directory", path)
	}
	var ids []string
	for _, s := range p.Steps {
		if s.Skipped != "" {
			continue
		}
		ids = append(ids, s.ID)
		data, err := json.MarshalIndent(s.withOptionalCopies(), "", "  ")
		if err != nil {
			return err
		}
		if err := replace(filepath.Join(dir, s.ID+".json"), append(data, '\n')); err != nil {
			return err
		}
	}
	if err := replace(path, p.makefile(dir)); err != nil {
		return err
	}
	for _, id := range targets(old) {
		if !slices.Contains(ids, id) {
			if err := os.Remove(filepath.Join(dir, id+".json")); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}

// makefile is a variable for each step, as pipex.mk has them.
func (p *Pipeline) makefile(dir string) []byte {
	var ids []string
	var steps strings.Builder
	for _, s := range p.Steps {
		if s.Skipped == "" {
			ids = append(ids, s.ID)
			s.line(&steps, dir)
		}
	}
	if len(ids) > 0 {
		steps.WriteString("include $(PIPEX_MK)\n")
	}
	all := slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return id == "all" }) // makes itself
	return []byte(head + ".PHONY: all\nall: " + strings.Join(all, " ") + "\n" + steps.String())
}

// targets are the steps of a makefile.
func targets(makefile []byte) []string {
	var ids []string
	for _, line := range strings.Split(string(makefile), "\n") {
		if name, _, ok := strings.Cut(line, " = "); ok && strings.HasPrefix(name, "step.") {
			ids = append(ids, strings.TrimPrefix(name, "step."))
		}
	}
	return ids
}

func (s *Step) line(b *strings.Builder, dir string) {
	words := []string{"--spec", filepath.Join(dir, s.ID+".json")}
	if plainImage.MatchString(s.Spec.Image) {
		words = append(words, "--image", s.Spec.Image) // make looks whether it has moved
	}
	for _, in := range s.Inputs {
		switch {
		case in.Optional:
			words = append(words, "--optional-input", in.Step)
		case in.Copy:
			words = append(words, "--input", in.Step, "--copy-input", in.Step)
		default:
			words = append(words, "--input", in.Step)
		}
	}
	if s.Retries > 0 {
		words = append(words, "--retries", strconv.Itoa(s.Retries), "--retry-delay", strconv.FormatFloat(time.Duration(s.RetryDelay).Seconds(), 'f', -1, 64))
	}
	if s.AllowFailure {
		words = append(words, "--allow-failure")
	}
	fmt.Fprintf(b, "step.%s = %s\n", s.ID, strings.Join(words, " "))
	if reads := s.reads(); len(reads) > 0 {
		fmt.Fprintf(b, "reads.%s = %s\n", s.ID, strings.Join(reads, " "))
	}
}

// reads are the host paths that the step depends on. A path that make cannot name is
// in place of it one that is not there: such a step is looked at every time.
func (s *Step) reads() []string {
	var paths []string
	for _, m := range slices.Concat(s.Spec.Mounts, s.Spec.Sources) {
		if plainPath.MatchString(m.Host) {
			paths = append(paths, m.Host)
		} else {
			paths = append(paths, "/dev/null/unnamed")
		}
	}
	slices.Sort(paths)
	return slices.Compact(paths)
}

// withOptionalCopies is the spec with those inputs for which pipex-prepare has no
// option.
func (s *Step) withOptionalCopies() step.Spec {
	spec := s.Spec
	for _, in := range s.Inputs {
		if in.Optional && in.Copy {
			spec.Inputs = append(spec.Inputs, step.Input{Step: in.Step, Optional: true, Copy: true})
		}
	}
	return spec
}

// replace puts data at a path unless it is there already.
func replace(path string, data []byte) error {
	if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, data) {
		return nil
	}
	tmp := fmt.Sprintf("%s.%d", path, os.Getpid())
	if err := os.WriteFile(tmp, data, 0o666); err != nil {
		os.Remove(tmp)
		return fmt.Errorf("cannot write %q: %w", path, reason(err))
	}
	return os.Rename(tmp, path)
}
