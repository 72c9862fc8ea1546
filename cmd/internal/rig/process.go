package rig

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/prometheus/procfs"
)

const (
	startTimeout = 2 * time.Minute
	stopTimeout  = time.Minute
	maxTail      = 3 << 10 // how much of a log an error repeats, in bytes
	// maxLines and maxLine bound what is kept of lines that nobody has read yet.
	maxLines, maxLine = 1024, 64 << 20
)

// Command is a program that prints one line of JSON once it is ready, and ends at
// SIGTERM.
type Command struct {
	Name string // for errors, and the name of the log
	Args []string
	Env  []string      // nil: that of this process
	Slow time.Duration // what each fsync takes longer, with strace
	// As is the user that it runs as. nil: that of this process.
	As *syscall.Credential
	// Trace are words of [Inject] and others for strace.
	Trace []string
	// Socket is one on which it is to serve webhooks; nil for one of its own.
	Socket *os.File
}

// Process is a command that runs. It ends with this process, however that ends.
type Process struct {
	Name    string
	PID     int             // that of the program itself, also under strace
	Log     string          // the path of what the process wrote to its standard error
	Ready   json.RawMessage // the first line, Started how long it took to come
	Started time.Duration

	cmd   *exec.Cmd
	lines chan []byte
	ended chan struct{} // closed when the process has ended, after which cmd knows how
}

// Start runs the command and returns when it is ready. The log goes on when there is one
// of that name.
func (r *Rig) Start(c Command) *Process {
	p := &Process{Name: c.Name, Log: r.Path(c.Name + ".log"), lines: make(chan []byte, maxLines), ended: make(chan struct{})}
	log := Must(os.OpenFile(p.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600))
	defer func() { _ = log.Close() }() // the process has it too
	args := c.Args
	if c.Slow > 0 {
		c.Trace = slower(c.Slow)
	}
	if len(c.Trace) > 0 {
		args = slices.Concat(traced(c.Trace), args)
	}
	if c.Socket != nil {
		args, c.Env = passed(args, c.Env)
	}
	p.cmd = exec.CommandContext(r.ctx, args[0], args[1:]...)
	p.cmd.Env, p.cmd.Stderr = c.Env, log
	if c.Socket != nil {
		p.cmd.ExtraFiles = []*os.File{c.Socket}
	}
	stdout := Must(p.cmd.StdoutPipe())
	// The process has a group of its own, so that a ^C reaches this program alone.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL, Credential: c.As}
	p.cmd.Cancel = func() error { return p.Signal(syscall.SIGKILL) }
	begun := time.Now()
	Check(p.cmd.Start(), "starting", c.Name)
	go p.read(stdout)
	r.OnClose(func() error { p.Kill(); return nil })
	line, err := p.Line(r.ctx)
	var ready struct {
		PID int `json:"pid"`
	}
	if err == nil {
		err = json.Unmarshal(line, &ready)
	}
	if err != nil {
		p.Kill()
		Check(p.Explain(fmt.Errorf("waiting until %s is ready: %w", c.Name, err)))
	}
	p.PID, p.Ready, p.Started = ready.PID, line, time.Since(begun)
	return p
}

func (p *Process) read(stdout io.Reader) {
	defer close(p.ended)
	lines := bufio.NewScanner(stdout)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		select {
		case p.lines <- bytes.Clone(lines.Bytes()):
		default: // nobody reads them
		}
	}
	_ = p.cmd.Wait() // how it ended is asked of cmd.ProcessState
	close(p.lines)
}

// Line returns the next line that the process prints.
func (p *Process) Line(ctx context.Context) ([]byte, error) {
	select {
	case line, ok := <-p.lines:
		if !ok {
			return nil, fmt.Errorf("the process has ended: %v", p.cmd.ProcessState)
		}
		return line, nil
	case <-time.After(startTimeout):
		return nil, fmt.Errorf("it printed nothing within %v", startTimeout)
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// Signal sends a signal to the process and its children. It returns an error when the
// process has ended: its number may be another's by now.
func (p *Process) Signal(s syscall.Signal) error {
	if !p.Alive() {
		return os.ErrProcessDone
	}
	return syscall.Kill(-p.cmd.Process.Pid, s)
}

// Kill is kill -9, and returns when the process has ended.
func (p *Process) Kill() {
	_ = p.Signal(syscall.SIGKILL) // fails when the process has ended
	<-p.ended
}

// Stop asks the process to end, as a service manager does, and returns its exit code,
// with an error unless that is 0. A process that does not end is killed.
func (p *Process) Stop() (code int, err error) {
	_ = p.Signal(syscall.SIGTERM) // fails when the process has ended
	select {
	case <-p.ended:
	case <-time.After(stopTimeout):
		p.Kill()
		return -1, p.Explain(fmt.Errorf("%s did not end within %v of SIGTERM", p.Name, stopTimeout))
	}
	if code = p.cmd.ProcessState.ExitCode(); code != 0 {
		err = p.Explain(fmt.Errorf("%s ended with exit code %d", p.Name, code))
	}
	return code, err
}

// Alive reports whether the process has not ended.
func (p *Process) Alive() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// Explain adds the end of the log to an error.
func (p *Process) Explain(err error) error {
	return fmt.Errorf("%w; the log of %s ends with:\n%s", err, p.Name, p.Tail())
}

// Tail is the end of the log, in whole lines.
func (p *Process) Tail() string {
	text, err := os.ReadFile(p.Log)
	if err != nil {
		return err.Error()
	}
	if len(text) > maxTail {
		_, text, _ = bytes.Cut(text[len(text)-maxTail:], []byte("\n"))
	}
	return string(text)
}

func (p *Process) proc() procfs.Proc { return Must(procfs.NewProc(p.PID)) }

// Status has the memory of the process, in bytes: VmRSS, and VmHWM for the most ever.
func (p *Process) Status() procfs.ProcStatus { return Must(p.proc().NewStatus()) }

// stopped is so for a process with strace too.
func (p *Process) stopped() bool { return strings.EqualFold(Must(p.proc().Stat()).State, "T") }

// Processor is how much processor time the process has used, in user and in system mode.
func (p *Process) Processor() time.Duration {
	return time.Duration(Must(p.proc().Stat()).CPUTime() * float64(time.Second))
}

// userHz is how many ticks of Linux's processor times make a second.
const userHz = 100

// ProcessorOfAll is [Process.Processor] with that of the children, also of those that have
// ended.
func (p *Process) ProcessorOfAll() time.Duration {
	all := p.Processor()
	for _, proc := range Must(procfs.AllProcs()) {
		stat, err := proc.Stat()
		switch {
		case err != nil: // it has ended meanwhile
		case stat.PID == p.PID: // CUTime and CSTime are of the children that have ended
			all += time.Duration(stat.CUTime+stat.CSTime) * (time.Second / userHz)
		case stat.PPID == p.PID:
			all += time.Duration(stat.CPUTime() * float64(time.Second))
		}
	}
	return all
}
