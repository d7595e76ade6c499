package main

import (
	"os"
	"slices"
)

// fetch fetches the run that a registry has for the fingerprint of the run that is prepared, and returns its id; empty if
// it has none. Without the registry the step runs as usual.
func (s *step) fetch(id string) string {
	from := s.cacheFrom
	if from == "" {
		from = os.Getenv("PIPEX_CACHE_FROM")
	}
	options := s.prepare
	if i := slices.Index(options, "--"); i >= 0 {
		options = options[:i]
	}
	if from == "" || !slices.Contains(options, "--cached") {
		return ""
	}
	ws, err := place().Open()
	if err != nil {
		return ""
	}
	m := recordOf(ws, id)
	if m == nil || m.Fingerprint == "" {
		return ""
	}
	found, status := s.output("pipex-fetch", "--fingerprint", m.Fingerprint, from)
	if status != 0 {
		return ""
	}
	s.progress("fetched run %s from %s", found, from)
	return found
}
