package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// shared is how many slots share one connection: sshd accepts 10 sessions in one (sshd_config(5), MaxSessions), and a
// signal takes one more.
const shared = 8

// dialing is how long opening a connection may take.
const dialing = 15 * time.Second

// ssh returns the command for a host, on the connection of a slot. A connection that is cut breaks after 15 s.
func (h *host) ssh(ctx context.Context, slot int, args ...string) *exec.Cmd {
	words := strings.Fields(os.Getenv("PIPEX_SSH"))
	if len(words) == 0 {
		words = []string{"ssh"}
	}
	words = append(words, "-oBatchMode=yes", "-oConnectTimeout=5", "-oServerAliveInterval=5", "-oServerAliveCountMax=3", "-oControlPath="+h.socket(slot))
	return exec.CommandContext(ctx, words[0], append(words[1:], args...)...)
}

func (h *host) socket(slot int) string { return h.file(strconv.Itoa(slot / shared)) }

// connect opens the connection of a slot, unless it is open.
func (h *host) connect(slot int) error {
	if h.connected(slot) {
		return nil
	}
	h.lock(connecting, true)
	defer h.unlock(connecting)
	if h.connected(slot) {
		return nil
	}
	if h.isAside() {
		return errors.New("it did not answer another pipex-ssh")
	}
	ctx, cancel := context.WithTimeout(context.Background(), dialing)
	defer cancel()
	// It ends by itself when nobody has used it for some time. Nothing of the caller's is open in it.
	open := h.ssh(ctx, slot, "-oControlMaster=yes", "-oControlPersist=300", "-n", "--", h.name, "nproc")
	open.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	open.WaitDelay = time.Second // the connection keeps the pipes
	var out, said bytes.Buffer
	open.Stdout, open.Stderr = &out, &said
	err := open.Run()
	if errors.Is(err, exec.ErrWaitDelay) {
		err = nil
	}
	if err != nil {
		why, _, _ := strings.Cut(strings.TrimSpace(said.String()), "\n")
		return fmt.Errorf("%w: %s", err, why)
	}
	if n, err := strconv.Atoi(strings.TrimSpace(out.String())); err == nil && n > 0 {
		os.WriteFile(h.file("cpus"), []byte(strconv.Itoa(n)), 0o600)
	}
	return nil
}

// connected reports whether the connection of a slot is open.
func (h *host) connected(slot int) bool {
	conn, err := net.DialTimeout("unix", h.socket(slot), time.Second)
	if err == nil {
		conn.Close()
	}
	return err == nil
}

// answers reports whether the host still does.
func (h *host) answers(slot int) error {
	ctx, cancel := context.WithTimeout(context.Background(), dialing)
	defer cancel()
	cmd := h.ssh(ctx, slot, "-n", "--", h.name, "true")
	cmd.WaitDelay = time.Second
	return cmd.Run()
}
