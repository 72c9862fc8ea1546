// Package pid1 lets a program be the first process of a container.
//
// The kernel gives every orphan of a PID namespace to process 1, which must wait for it:
// otherwise the orphan stays a zombie as long as the container runs. A Go program cannot wait
// for arbitrary children without taking exit statuses from os/exec calls. So process 1 runs the
// program again, as its child, and only waits.
package pid1

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

// forwarded are the signals that process 1 passes to the program.
var forwarded = []os.Signal{
	syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGUSR1, syscall.SIGUSR2,
}

// bySignal is added to the number of the signal that ended a program, as in shells.
const bySignal = 128

// Run returns at once unless this is process 1. Process 1 runs the same program with the same
// arguments, environment, standard files and passed sockets (LISTEN_FDS) as its child, forwards
// signals to it, reaps every orphan, and exits with the program's exit code, or 128 plus the
// number of the signal that ended it. Call Run first in main.
func Run() {
	if os.Getpid() != 1 {
		return
	}
	code, err := supervise()
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "as process 1 of a container:", err)
		code = 1
	}
	os.Exit(code)
}

func supervise() (code int, err error) {
	program, err := os.Executable()
	if err != nil {
		return 0, fmt.Errorf("finding the program: %w", err)
	}
	// Before the program runs, so that no signal is lost.
	signals := make(chan os.Signal, len(forwarded))
	signal.Notify(signals, forwarded...)
	// The program inherits this. The kernel keeps a terminal (Ctrl-Z) from stopping process 1
	// but not its child, and a container has no shell to continue it. The terminal would also
	// stop process 1 when it makes the program the foreground.
	signal.Ignore(syscall.SIGTSTP, syscall.SIGTTIN, syscall.SIGTTOU)
	pid, err := syscall.ForkExec(program, os.Args, &syscall.ProcAttr{
		Env: os.Environ(), Files: []uintptr{0, 1, 2}, Sys: attributes(),
	})
	if err != nil {
		return 0, fmt.Errorf("starting the program: %w", err)
	}
	go func() {
		for s := range signals {
			_ = syscall.Kill(pid, s.(syscall.Signal)) // the program may have ended by now
			// A program stopped by SIGSTOP gets other signals only after SIGCONT.
			_ = syscall.Kill(pid, syscall.SIGCONT)
		}
	}()
	return reap(pid)
}

// attributes puts the program into its own process group, that of the terminal if there is one:
// a terminal would otherwise signal both processes, and the program would get each signal
// twice.
func attributes() *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setpgid: true}
	if _, err := unix.IoctlGetInt(0, unix.TIOCGPGRP); err == nil {
		attr.Foreground, attr.Ctty = true, 0
	}
	return attr
}

func reap(program int) (int, error) {
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		switch {
		case err == syscall.EINTR:
		case err != nil:
			return 0, fmt.Errorf("waiting for the program: %w", err)
		case pid != program:
		case status.Signaled():
			return bySignal + int(status.Signal()), nil
		default:
			return status.ExitStatus(), nil
		}
	}
}
