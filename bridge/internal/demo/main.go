// Command demo shows what Hookspan does, from a webhook to the file on the disk:
// it runs a bridge and a small provider on free ports of this machine, sends
// webhooks as the provider does, good and bad ones, has it lose others, and then
// counts what the stream and the disk hold. It exits 0 only if every count is right.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

// demoTimeout bounds everything.
const demoTimeout = 2 * time.Minute

const (
	exitRight = 0
	exitWrong = 1
	exitUsage = 2
)

func main() {
	// The first signal asks to clean up; a second one ends at once.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], os.Environ(), os.Stdout, os.Stderr))
}

func run(ctx context.Context, args, environ []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	flags.SetOutput(stderr)
	binary := flags.String("hookspan", filepath.Join("bin", "hookspan"), "the `program` to show")
	keep := flags.Bool("keep", false, "leave the folder with the archive and the log, to look around in")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return exitRight
		}
		return exitUsage
	}
	right, err := show(ctx, *binary, *keep, environ, stdout, stderr)
	if err != nil {
		_, _ = fmt.Fprintln(stderr, "demo:", err)
	}
	if err != nil || !right {
		return exitWrong
	}
	return exitRight
}

// show runs the demo in a folder of its own, which stays when it may tell what
// went wrong.
func show(interrupted context.Context, binary string, keep bool, environ []string, stdout, stderr io.Writer) (right bool, err error) {
	ctx, cancel := context.WithTimeoutCause(interrupted, demoTimeout, fmt.Errorf("it is not done after %v", demoTimeout))
	defer cancel()
	dir, err := os.MkdirTemp("", "hookspan-demo-")
	if err != nil {
		return false, fmt.Errorf("making a folder: %w", err)
	}
	d := &demo{binary: binary, environ: environ, dir: dir, keep: keep, out: stdout}
	table, err := d.run(ctx)
	if interrupted.Err() != nil {
		return false, errors.Join(context.Cause(interrupted), os.RemoveAll(dir))
	}
	if err != nil || len(table.wrong()) > 0 {
		_, _ = fmt.Fprintf(stderr, "\nThe end of %s, which stays with everything else in its folder:\n%s\n", d.logPath(), tail(d.logPath()))
	}
	if err != nil {
		return false, err
	}
	if err := table.print(stdout); err != nil {
		return false, err
	}
	if len(table.wrong()) > 0 || keep {
		return len(table.wrong()) == 0, nil
	}
	return true, os.RemoveAll(dir)
}
