package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

const (
	startTimeout = time.Minute
	stopTimeout  = time.Minute
	// maxTail is how much of a log is shown, in bytes.
	maxTail = 3 << 10
)

// process is a child with a group of its own, so that a ^C reaches only us, which
// ends with us however we end.
type process struct {
	cmd *exec.Cmd
	log string // path of its standard error
	// ended is closed when the process has ended, after which cmd knows how.
	ended chan struct{}
}

// startProcess starts a program whose first line on its standard output is JSON,
// reads that into ready, and appends its standard error to the file log.
func startProcess(ctx context.Context, ready any, log string, environ []string, name string, args ...string) (*process, error) {
	stderr, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("making a log: %w", err)
	}
	defer func() { _ = stderr.Close() }() // the process has it too
	p := &process{cmd: exec.CommandContext(ctx, name, args...), log: log, ended: make(chan struct{})}
	p.cmd.Env = environ
	p.cmd.Stderr = stderr
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	p.cmd.Cancel = func() error { return p.signal(syscall.SIGKILL) }
	stdout, err := p.cmd.StdoutPipe()
	if err == nil {
		err = p.cmd.Start()
	}
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	starting, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	defer context.AfterFunc(starting, func() { _ = p.signal(syscall.SIGKILL) })()
	in := bufio.NewReader(stdout)
	line, err := in.ReadBytes('\n')
	go func() {
		defer close(p.ended)
		_, _ = io.Copy(io.Discard, in) // until the process has ended
		_ = p.cmd.Wait()               // how it ended is asked of cmd.ProcessState
	}()
	if err == nil {
		err = json.Unmarshal(line, ready)
	}
	if err != nil {
		p.kill()
		return nil, errors.Join(fmt.Errorf("waiting until %s is ready: %w; its log ends with:\n%s", name, err, tail(log)), context.Cause(starting))
	}
	return p, nil
}

// signal sends a signal to the process and to its children.
func (p *process) signal(s syscall.Signal) error { return syscall.Kill(-p.cmd.Process.Pid, s) }

// kill is kill -9, and returns when the process has ended.
func (p *process) kill() {
	_ = p.signal(syscall.SIGKILL) // fails when it has ended
	<-p.ended
}

// stop asks the process to end, as a service manager does.
func (p *process) stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	_ = p.signal(syscall.SIGTERM) // fails when it has ended
	select {
	case <-p.ended:
	case <-ctx.Done():
		p.kill()
		return fmt.Errorf("it did not end within %v of SIGTERM; its log ends with:\n%s", stopTimeout, tail(p.log))
	}
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		return fmt.Errorf("it ended with exit code %d; its log ends with:\n%s", code, tail(p.log))
	}
	return nil
}

// alive reports whether the process has not ended.
func (p *process) alive() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// tail is the end of a log, in whole lines.
func tail(name string) string {
	text, err := os.ReadFile(name)
	if err != nil {
		return err.Error()
	}
	if len(text) <= maxTail {
		return string(text)
	}
	_, rest, _ := strings.Cut(string(text[len(text)-maxTail:]), "\n")
	return rest
}

// pause waits for time to pass, which is what an outage is made of.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
