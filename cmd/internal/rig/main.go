package rig

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
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
