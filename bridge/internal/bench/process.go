package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	startTimeout = 2 * time.Minute
	stopTimeout  = 15 * time.Second
	// logTail is how much of a process's log an error repeats, in bytes.
	logTail = 2 * kib
	// slowBy is what each fsync of a slow process takes longer.
	slowBy = 2 * time.Millisecond
)

// slower runs what follows it with every fsync slowedBy later. Nothing but these
// calls is stopped.
var slower = []string{
	"strace", "-f", "--seccomp-bpf", "-e", "trace=fsync,fdatasync",
	"-e", "inject=fsync,fdatasync:delay_enter=" + strconv.FormatInt(slowBy.Microseconds(), 10), "-o", "/dev/null", "--",
}

// noSlower says why nothing can be slowed, or is empty.
func noSlower() string {
	if _, err := exec.LookPath(slower[0]); err != nil {
		return "Not measured: " + slower[0] + " is not installed."
	}
	return ""
}

// command is a process that prints one line of JSON on standard output once it is
// ready, and ends at SIGTERM.
type command struct {
	what string // for errors
	dir  string // for its log
	args []string
	env  []string
	slow bool // each of its fsyncs
}

// process is a command that runs, and what it started.
type process struct {
	what  string
	cmd   *exec.Cmd
	pid   int // of the command itself
	ready json.RawMessage
	// started is how long it took to be ready.
	started time.Duration
	log     *os.File
	stdout  *bufio.Reader

	once   sync.Once
	killed bool
}

func (c command) start(ctx context.Context) (p *process, err error) {
	p = &process{what: c.what}
	if p.log, err = os.OpenFile(filepath.Join(c.dir, "log"), os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600); err != nil {
		return nil, fmt.Errorf("starting %s: %w", c.what, err)
	}
	args := c.args
	if c.slow {
		self, err := os.Executable()
		if err != nil {
			return nil, fmt.Errorf("starting %s: %w", c.what, err)
		}
		args = append(append([]string{}, slower...), append([]string{self, modeExec}, args...)...)
	}
	p.cmd = exec.CommandContext(ctx, args[0], args[1:]...)
	p.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH")}, c.env...) //nolint:forbidigo // strace looks for programs there
	p.cmd.Stderr = p.log
	// A terminal would give its ^C to the process too, and a second signal ends
	// it at once. Nothing may outlive this process, however that ends.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	p.cmd.Cancel = p.terminate
	p.cmd.WaitDelay = stopTimeout
	stdout, err := p.cmd.StdoutPipe()
	begin := time.Now()
	if err == nil {
		err = p.cmd.Start()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("starting %s: %w", c.what, err), p.log.Close())
	}
	p.stdout = bufio.NewReader(stdout)
	if err := p.waitReady(ctx); err != nil {
		return nil, errors.Join(p.explain(fmt.Errorf("starting %s: %w", c.what, err)), p.stop())
	}
	p.started = time.Since(begin)
	return p, nil
}

func (p *process) waitReady(ctx context.Context) error {
	line, err := p.nextLine(ctx)
	if err != nil {
		return fmt.Errorf("it did not say that it is ready: %w", err)
	}
	var ready struct {
		PID int `json:"pid"`
	}
	if err := json.Unmarshal(line, &ready); err != nil {
		return fmt.Errorf("reading its first line: %w", err)
	}
	p.ready, p.pid = line, ready.PID
	return nil
}

// signal reaches the command and what runs it: strace ignores all but SIGKILL.
func (p *process) signal(s syscall.Signal) error { return syscall.Kill(-p.cmd.Process.Pid, s) }

// terminate asks the process to end, the first time.
func (p *process) terminate() (err error) {
	p.once.Do(func() { err = p.signal(syscall.SIGTERM) })
	return err
}

// nextLine waits for the next line that the process prints.
func (p *process) nextLine(ctx context.Context) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	defer context.AfterFunc(ctx, func() { _ = p.signal(syscall.SIGKILL) })()
	return p.stdout.ReadBytes('\n')
}

// lastLine asks the process to end and returns the next line that it prints.
func (p *process) lastLine() ([]byte, error) {
	if err := p.terminate(); err != nil {
		return nil, fmt.Errorf("stopping %s: %w", p.what, err)
	}
	line, err := p.stdout.ReadBytes('\n')
	if err != nil {
		return nil, p.explain(fmt.Errorf("reading the last line of %s: %w", p.what, err))
	}
	return line, nil
}

// kill ends the process as a crash would, and returns when it is gone.
func (p *process) kill() error {
	p.killed = true
	err := p.signal(syscall.SIGKILL)
	_ = p.cmd.Wait() // it says that it was killed
	return errors.Join(err, p.log.Close())
}

// stop ends the process, unless it was killed, and returns an error when it did
// not end well.
func (p *process) stop() error {
	if p.killed {
		return nil
	}
	_ = p.terminate() // it may have ended
	kill := time.AfterFunc(stopTimeout, func() { _ = p.signal(syscall.SIGKILL) })
	defer kill.Stop()
	err := p.cmd.Wait()
	if err != nil {
		err = p.explain(fmt.Errorf("stopping %s: %w", p.what, err))
	}
	return errors.Join(err, p.log.Close())
}

// explain adds the end of the process's log to an error.
func (p *process) explain(err error) error {
	info, statErr := p.log.Stat()
	if statErr != nil || info.Size() == 0 {
		return err
	}
	tail := make([]byte, min(info.Size(), logTail))
	n, _ := p.log.ReadAt(tail, info.Size()-int64(len(tail)))
	return fmt.Errorf("%w\nthe log of %s ends with:\n%s", err, p.what, tail[:n])
}

// size returns a field of the process's /proc/<pid>/status, such as VmRSS, in
// bytes.
func (p *process) size(key string) (int64, error) {
	return sizeField(fmt.Sprintf("/proc/%d/status", p.pid), key)
}

// processor is how much processor time the process has used.
func (p *process) processor() (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.pid))
	if err != nil {
		return 0, fmt.Errorf("asking what %s used: %w", p.what, err)
	}
	// The name in brackets may hold spaces; behind it utime and stime are the
	// 12th and the 13th field.
	_, rest, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0, fmt.Errorf("asking what %s used: /proc says %q", p.what, text)
	}
	sum := time.Duration(0)
	for _, f := range fields[11:13] {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("asking what %s used: %w", p.what, err)
		}
		sum += time.Duration(n) * time.Second / ticksPerSecond
	}
	return sum, nil
}

const (
	settleTime = 3 * time.Second
	settleTick = 250 * time.Millisecond
)

// settled returns the least memory that the process had while it was left alone.
func (p *process) settled(ctx context.Context) (int64, error) {
	least, err := p.size("VmRSS")
	if err != nil {
		return 0, err
	}
	for range settleTime / settleTick {
		if err := pause(ctx, settleTick); err != nil {
			return 0, err
		}
		now, err := p.size("VmRSS")
		if err != nil {
			return 0, err
		}
		least = min(least, now)
	}
	return least, nil
}

// pause returns after d, or with an error when ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
