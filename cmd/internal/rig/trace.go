package rig

import (
	"bufio"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// MissingTracer says why no system call can be changed on this machine, or is empty.
func MissingTracer() string {
	if _, err := exec.LookPath("strace"); err != nil {
		return "needs strace"
	}
	return ""
}

// Syncs are the system calls by which a program has something written to the disk.
const Syncs = "fsync,fdatasync"

// Inject are words for strace that change system calls, named with commas between, in the
// way that its manual has under "Tampering".
func Inject(calls, change string) []string {
	return []string{"-e", "trace=" + calls, "-e", "inject=" + calls + ":" + change}
}

// slower are those that make each sync longer, and stop nothing else. With signals strace 6.1
// has no such way.
func slower(by time.Duration) []string {
	return append(Inject(Syncs, "delay_enter="+strconv.FormatInt(by.Microseconds(), 10)), "--seccomp-bpf")
}

// traced are the words before a command whose system calls are changed.
func traced(words []string) []string {
	return slices.Concat([]string{"strace", "-f"}, words, []string{"-o", "/dev/null", "--", self(), modeExec})
}

// Tamper changes system calls of a process that runs, until stop is called or it ends. It
// needs root on most machines.
func (r *Rig) Tamper(p *Process, words []string) (stop func()) {
	cmd := exec.CommandContext(r.ctx, "strace", slices.Concat([]string{"-f", "-p", strconv.Itoa(p.PID), "-o", "/dev/null"}, words)...)
	stderr := Must(cmd.StderrPipe())
	Check(cmd.Start(), "changing system calls of", p.Name)
	said := bufio.NewScanner(stderr)
	if !said.Scan() || !strings.Contains(said.Text(), " attached") {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // what it said is told
		Check(fmt.Errorf("changing system calls of %s: strace says %q", p.Name, said.Text()))
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for said.Scan() { // it would wait for a reader
		}
		_ = cmd.Wait() // it ends as the process does
	}()
	stop = func() {
		_ = cmd.Process.Signal(syscall.SIGINT) // fails when it has ended
		<-ended
	}
	r.OnClose(func() error { stop(); return nil })
	return stop
}
