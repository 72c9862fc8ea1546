package rig

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"golang.org/x/sys/unix"
)

// Exit codes of the programs.
const (
	ExitRight = 0
	ExitWrong = 1
	ExitUsage = 2
)

// Main runs a program that uses a rig, or one of the modes in which it runs itself, and
// ends with its exit code. The first signal asks to clean up; a second one ends at once,
// and the processes that were started end with this one.
func Main(modes map[string]Mode, run func(ctx context.Context, args []string, stdout, stderr io.Writer) int) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	ran, err := runMode(ctx, os.Args[1:], os.Stdout, modes)
	switch {
	case err != nil:
		_, _ = fmt.Fprintf(os.Stderr, "%s: %v\n", os.Args[0], err)
		os.Exit(ExitWrong)
	case !ran:
		os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
	}
}

// Mode is what a program does when a rig runs it as a process of its own. It prints
// [Ready] when it is ready, and ends with ctx.
type Mode func(ctx context.Context, args []string, stdout io.Writer) error

const (
	modeExec = "rig-exec"
	modeNATS = "rig-nats"
)

// runMode runs the mode that the first argument names, and reports whether there is one.
func runMode(ctx context.Context, args []string, stdout io.Writer, own map[string]Mode) (ran bool, err error) {
	if len(args) == 0 {
		return false, nil
	}
	modes := map[string]Mode{modeExec: runExec, modeNATS: runNATS}
	maps.Copy(modes, own)
	mode, ok := modes[args[0]]
	if !ok {
		return false, nil
	}
	return true, mode(ctx, args[1:], stdout)
}

// StartMode runs this program in a mode.
func (r *Rig) StartMode(name string, slow time.Duration, mode string, args ...string) *Process {
	return r.Start(Command{Name: name, Slow: slow, Args: append([]string{self(), mode}, args...)})
}

func self() string { return Must(os.Executable()) }

// Ready is the line by which a mode says that it is ready, with values of its own.
func Ready(stdout io.Writer, values map[string]any) error {
	line := map[string]any{"pid": os.Getpid()}
	maps.Copy(line, values)
	return json.NewEncoder(stdout).Encode(line)
}

// runExec becomes the program in args, which then ends together with its strace.
func runExec(_ context.Context, args []string, _ io.Writer) error {
	runtime.LockOSThread()
	err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0)
	if err == nil {
		err = syscall.Exec(args[0], args, os.Environ())
	}
	return fmt.Errorf("running %s: %w", args[0], err)
}

func runNATS(ctx context.Context, args []string, stdout io.Writer) error {
	s, err := RunServer(args[0])
	if err != nil {
		return err
	}
	defer func() { s.Shutdown(); s.WaitForShutdown() }()
	if err := Ready(stdout, nil); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// RunServer runs a NATS server in this process, with a configuration file such as
// [NATS.Config], until its Shutdown.
func RunServer(config string) (*server.Server, error) {
	opts, err := server.ProcessConfigFile(config)
	if err != nil {
		return nil, fmt.Errorf("configuring a NATS server: %w", err)
	}
	opts.NoSigs = true
	s, err := server.NewServer(opts)
	if err != nil {
		return nil, fmt.Errorf("configuring a NATS server: %w", err)
	}
	s.ConfigureLogger()
	s.Start()
	if !s.ReadyForConnections(startTimeout) {
		s.Shutdown()
		return nil, errors.New("the NATS server is not ready")
	}
	return s, nil
}
