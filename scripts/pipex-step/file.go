package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// expand replaces -f FILE by what the file says. FILE is one step of a pipeline's file, which
// pipex-pipeline reads; --input before STEP binds its inputs. Without -f the arguments stay
// as they are.
func expand(args []string) ([]string, error) {
	file := ""
	var ask, ours []string // for pipex-pipeline, and as they are
	rest := args
	for len(rest) > 0 && strings.HasPrefix(rest[0], "-") && rest[0] != "--" {
		option, value, joined := strings.Cut(rest[0], "=")
		took := 1
		if valued[option] && !joined && len(rest) > 1 {
			value, took = rest[1], 2
		}
		switch option {
		case "-h", "--help":
			return args, nil
		case "-f", "--file":
			file = value
		case "--input":
			ask = append(ask, "--input="+value)
		default:
			ours = append(ours, rest[:took]...)
		}
		if valued[option] && value == "" {
			return nil, fmt.Errorf("%s takes a value", option)
		}
		rest = rest[took:]
	}
	if file == "" {
		return args, nil
	}
	if len(rest) > 0 && rest[0] != "--" {
		ask = append(ask, "--step="+rest[0])
		rest = rest[1:]
	}
	own, err := readFile(file, ask)
	return slices.Concat(own[:max(len(own)-3, 0)], ours, own[max(len(own)-3, 0):], rest), err
}

// valued are the options before STEP whose value may be the next word.
var valued = map[string]bool{
	"-w": true, "--workspace": true, "--workdir": true, "--address": true, "--namespace": true, "--retries": true, "--infra-retries": true, "--exec": true, "--cache-from": true, "--retry-delay": true,
	"--stamp": true, "--tried": true, "-f": true, "--file": true, "--input": true,
}

// described is what pipex-pipeline prints of a step.
type described struct {
	ID           string          `json:"id"`
	Spec         json.RawMessage `json:"spec"`
	Retries      int             `json:"retries"`
	RetryDelay   string          `json:"retryDelay"`
	AllowFailure bool            `json:"allowFailure"`
}

// errFile says that pipex-pipeline has said what is wrong with a file.
var errFile = errors.New("wrong file")

// readFile returns the arguments that a step's file means; the last three are STEP and its spec.
func readFile(file string, ask []string) ([]string, error) {
	if err := findVerbs(); err != nil {
		return nil, err
	}
	cmd := exec.Command("pipex-pipeline", append([]string{"--step-file=" + file}, ask...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, errors.Join(errFile, err)
	}
	var d described
	if err := json.Unmarshal(out, &d); err != nil {
		return nil, fmt.Errorf("cannot read what pipex-pipeline prints: %w", err)
	}
	delay, err := time.ParseDuration(d.RetryDelay)
	if err != nil {
		return nil, err
	}
	spec, err := share(d.Spec)
	if err != nil {
		return nil, err
	}
	args := []string{"--retries", strconv.Itoa(d.Retries), "--retry-delay", strconv.FormatFloat(delay.Seconds(), 'f', -1, 64)}
	if d.AllowFailure {
		args = append(args, "--allow-failure")
	}
	return append(args, d.ID, "--spec", spec), nil
}

// share returns a path at which our children find the data, as long as we live: each try of
// the step reads it.
func share(data []byte) (string, error) {
	fd, err := unix.MemfdCreate("step", unix.MFD_CLOEXEC)
	if err != nil {
		return "", err
	}
	if _, err := bytes.NewReader(data).WriteTo(os.NewFile(uintptr(fd), "step")); err != nil {
		return "", err
	}
	return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), fd), nil
}
