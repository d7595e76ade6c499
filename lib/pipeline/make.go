package pipeline

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"pipex/lib/internal/lazy"
	"pipex/lib/name"
	"pipex/lib/step"
)

// head is the first line of each makefile that Write makes.
const head = "# Made by pipex-pipeline, which makes it again; include $(PIPEX_MK) is pipex.mk.\n"

// plain are the words that make and the shell take as they are.
var plain = lazy.Regexp(`^[\pL\pN/._+@=-]+$`)

// word is a path as a word of a step's line.
func word(path string) string {
	if plain().MatchString(path) {
		return path
	}
	path = "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
	return strings.NewReplacer("$", "$$", "#", `\#`).Replace(path)
}

// Write puts into the directory, which it makes, a Makefile for pipex.mk and a spec
// for each step that runs, STEP.json. A file whose content stays the same is left
// alone, so that its time tells when the step changed; others are replaced whole or
// not at all, and specs are removed whose steps the Makefile had and has no more.
func (p *Pipeline) Write(dir string) error {
	if strings.ContainsAny(dir, "\n\r\x00") {
		return name.Usage("cannot write to %q: a Makefile cannot name it", dir)
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
	ids := p.Runnable()
	for _, s := range p.Steps {
		if s.Skipped != "" {
			continue
		}
		data, err := json.MarshalIndent(s.WithInputs(), "", "  ")
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
	ids := p.Runnable()
	var steps strings.Builder
	for _, s := range p.Steps {
		if s.Skipped == "" {
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
	words := []string{"--spec", word(filepath.Join(dir, s.ID+".json"))}
	if s.Retries > 0 {
		words = append(words, "--retries", strconv.Itoa(s.Retries), "--retry-delay", strconv.FormatFloat(time.Duration(s.RetryDelay).Seconds(), 'f', -1, 64))
	}
	if s.AllowFailure {
		words = append(words, "--allow-failure")
	}
	fmt.Fprintf(b, "step.%s = %s\n", s.ID, strings.Join(words, " "))
}

// WithInputs is the step's spec with its inputs: their steps' newest runs.
func (s *Step) WithInputs() step.Spec {
	spec := s.Spec
	for _, in := range s.Inputs {
		spec.Inputs = append(spec.Inputs, in.Inputs("")...)
	}
	return spec
}

// replace puts data at a path unless it is there already.
func replace(path string, data []byte) error {
	if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, data) {
		return nil
	}
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("cannot write %q: %w", path, reason(err))
	}
	defer os.Remove(f.Name())
	if err = f.Chmod(0o644); err == nil {
		_, err = f.Write(data)
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("cannot write %q: %w", path, reason(err))
	}
	return nil
}
