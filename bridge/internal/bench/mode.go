package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"syscall"

	"github.com/nats-io/nats-server/v2/server"
	"golang.org/x/sys/unix"
)

// The modes in which this program runs itself, as its first argument.
const (
	modeExec   = "exec"   // another program
	modeNATS   = "nats"   // a NATS server
	modeRig    = "rig"    // a rig
	modeForge  = "forge"  // a flood of forged webhooks
	modeRead   = "read"   // a rig whose stored events are read
	modeFollow = "follow" // a rig with a consumer of what it takes
	modeFold   = "fold"   // a rig whose stored events become a ledger
)

type mode func(ctx context.Context, args []string, stdout io.Writer) error

func modeOf(args []string) (mode, bool) {
	if len(args) < 3 {
		return nil, false
	}
	m, ok := map[string]mode{
		modeExec: runExec, modeNATS: runNATS, modeRig: runRig, modeForge: runForge, modeRead: runRead, modeFollow: runFollow, modeFold: runFold,
	}[args[1]]
	return m, ok
}

// runExec becomes the program in args, but one that ends together with the strace
// that runs it.
func runExec(_ context.Context, args []string, _ io.Writer) error {
	runtime.LockOSThread()
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0); err != nil {
		return fmt.Errorf("running %s: %w", args[0], err)
	}
	return fmt.Errorf("running %s: %w", args[0], syscall.Exec(args[0], args, os.Environ()))
}

// modeReady is the first line of a mode.
type modeReady struct {
	PID  int `json:"pid"`
	URL  string
	Name string
	// Of a rig: the addresses of its ingresses.
	Whole, Singles string
	// Of what was read or folded: events per second, and µs of processor time for each.
	Rate, Cost float64
}

func (r modeReady) print(w io.Writer) error {
	r.PID = os.Getpid()
	return json.NewEncoder(w).Encode(r)
}

// runNATS runs a NATS server with the configuration file that args names.
func runNATS(ctx context.Context, args []string, stdout io.Writer) error {
	opts, err := server.ProcessConfigFile(args[0])
	if err != nil {
		return fmt.Errorf("configuring a NATS server: %w", err)
	}
	opts.NoSigs = true
	s, err := server.NewServer(opts)
	if err != nil {
		return fmt.Errorf("configuring a NATS server: %w", err)
	}
	s.ConfigureLogger()
	s.Start()
	defer func() { s.Shutdown(); s.WaitForShutdown() }()
	if !s.ReadyForConnections(startTimeout) {
		return errors.New("the NATS server is not ready")
	}
	if err := (modeReady{URL: s.ClientURL(), Name: s.Name()}).print(stdout); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// runRig serves the ingresses of a rig on the folder that args names.
func runRig(ctx context.Context, args []string, stdout io.Writer) (err error) {
	r, err := newRig(context.WithoutCancel(ctx), args[0])
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	if err := (modeReady{Whole: r.durable, Singles: r.singles}).print(stdout); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// startMode runs this program in a mode.
func startMode(ctx context.Context, what, dir, name, arg string, slow bool) (*process, modeReady, error) {
	var r modeReady
	self, err := os.Executable()
	if err != nil {
		return nil, r, fmt.Errorf("starting %s: %w", what, err)
	}
	p, err := command{what: what, dir: dir, args: []string{self, name, arg}, slow: slow}.start(ctx)
	if err != nil {
		return nil, r, err
	}
	if err := json.Unmarshal(p.ready, &r); err != nil {
		return nil, r, errors.Join(fmt.Errorf("reading the first line of %s: %w", what, err), p.stop())
	}
	return p, r, nil
}
