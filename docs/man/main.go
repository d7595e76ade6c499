// Man turns the pages in DOCS that are of the manual into man pages below DIR: man1, man5
// and man7. A page of the manual begins with "# NAME(SECTION)"; the others are guides, and
// stay as they are. A page whose sections are not those of CONTRIBUTING.md is an error.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "man: wrong usage: go run ./docs/man DOCS DIR")
		os.Exit(129)
	}
	when, err := date()
	if err == nil {
		err = write(os.Args[1], os.Args[2], when)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "man:", err)
		os.Exit(128)
	}
}

// date returns the day that the pages name: that of $SOURCE_DATE_EPOCH, by which two builds
// of the same source are the same (https://reproducible-builds.org/specs/source-date-epoch/),
// else today.
func date() (string, error) {
	when := time.Now()
	if epoch := os.Getenv("SOURCE_DATE_EPOCH"); epoch != "" {
		seconds, err := strconv.ParseInt(epoch, 10, 64)
		if err != nil {
			return "", fmt.Errorf("$SOURCE_DATE_EPOCH is %q, not a number of seconds", epoch)
		}
		when = time.Unix(seconds, 0)
	}
	return when.UTC().Format(time.DateOnly), nil
}

// write writes the man pages of docs below dir. It reports all pages that are wrong, and
// then writes none.
func write(docs, dir, when string) error {
	pages, err := read(docs)
	if err != nil {
		return err
	}
	for _, p := range pages {
		section := filepath.Join(dir, "man"+p.section)
		if err := os.MkdirAll(section, 0o777); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(section, p.name+"."+p.section), p.roff(pages, when), 0o666); err != nil {
			return err
		}
	}
	return nil
}
