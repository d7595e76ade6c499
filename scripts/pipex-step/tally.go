package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// tally counts the steps of one make. It is a file with a line for each step that has ended;
// its name begins with the time in milliseconds when make began.
type tally struct {
	*os.File
	// certain is how many steps were found up to date without a process, likely how many
	// are unless an input of theirs changes, open how many have to be looked at. is says
	// which of these this step is.
	certain, likely, open int
	is                    string
}

// openTally opens the tally FILE:CERTAIN:LIKELY:OPEN:IS of --tally, and locks it until it is
// closed: so lines with later counts are printed later. It is an [fs.ErrNotExist] if there is
// no workspace yet.
func openTally(option string) (*tally, error) {
	parts := strings.Split(option, ":")
	n := len(parts) - 4 // the path may have colons
	if n < 1 {
		return nil, errors.New("--tally takes FILE:CERTAIN:LIKELY:OPEN:IS")
	}
	t := &tally{is: parts[n+3]}
	var err error
	for i, number := range []*int{&t.certain, &t.likely, &t.open} {
		if *number, err = strconv.Atoi(parts[n+i]); err != nil {
			return nil, err
		}
	}
	path := strings.Join(parts[:n], ":")
	if err := os.Mkdir(filepath.Dir(path), 0o777); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	if t.File, err = os.OpenFile(path, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o666); err != nil {
		return nil, err
	}
	for {
		err = unix.FcntlFlock(t.Fd(), unix.F_OFD_SETLKW, &unix.Flock_t{Type: unix.F_WRLCK})
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err != nil {
		t.Close()
		return nil, err
	}
	return t, nil
}

// add counts the step, and returns the count in words.
func (t *tally) add(e event) string {
	outcome := "failed"
	switch {
	case e.Event == "STEP_FINISHED":
		outcome = "run"
	case e.Event == "STEP_SKIPPED" && e.Reason == "cached":
		outcome = "up-to-date"
	case e.Event == "STEP_SKIPPED":
		outcome = "skipped"
	}
	fmt.Fprintln(t, outcome, t.is) // on a full disk the count is too low
	data, _ := io.ReadAll(io.NewSectionReader(t.File, 0, maxTally))
	count := func(what string) int { return strings.Count(string(data), what) }
	upToDate := t.certain - count("certain") + count("up-to-date")
	if count("open") == t.open && count("failed")+count("skipped") == 0 {
		upToDate += t.likely - count("likely") // now that is known
	}
	text := fmt.Sprintf("%d run, %d up to date", count("run"), upToDate)
	for _, what := range []string{"failed", "skipped"} {
		if n := count(what); n > 0 {
			text += fmt.Sprintf(", %d %s", n, what)
		}
	}
	began, _, _ := strings.Cut(filepath.Base(t.Name()), "-")
	millis, _ := strconv.ParseInt(began, 10, 64)
	return fmt.Sprintf("%s, in %.1fs", text, time.Since(time.UnixMilli(millis)).Seconds())
}

// maxTally is how many bytes of a tally are read at most: those of half a million steps.
const maxTally = 20 << 20
