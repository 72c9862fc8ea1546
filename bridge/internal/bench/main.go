// Command bench measures a bridge against what it is made of, and writes what it
// found as Markdown. It runs on Linux.
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
	"runtime"
	"strings"
	"syscall"
	"time"
)

// bench is one run.
type bench struct {
	hookspan   string
	rounds     int
	warm, time time.Duration
	parts      []part
	dir        string // for everything that is written, removed at the end
	stderr     io.Writer
	begin      time.Time
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	var err error
	if mode, ok := modeOf(os.Args); ok {
		err = mode(ctx, os.Args[2:], os.Stdout)
	} else {
		err = run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	}
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	b := &bench{stderr: stderr, begin: time.Now()}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&b.hookspan, "hookspan", "bin/hookspan", "the binary to measure")
	flags.IntVar(&b.rounds, "rounds", 5, "how often each thing is measured")
	flags.DurationVar(&b.warm, "warm", 300*time.Millisecond, "how long each load runs before it is measured")
	flags.DurationVar(&b.time, "time", 1200*time.Millisecond, "how long each load is measured; steady ones four times as long")
	only := flags.String("only", "", "the parts to run, with commas between: "+strings.Join(partNames(), ",")+" (default all)")
	parent := flags.String("dir", os.TempDir(), "the folder to make a temporary folder in; its disk is what is measured")
	out := flags.String("out", "", "a file for the report, besides standard output")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil
		}
		return err
	}
	if b.rounds < 1 || b.warm <= 0 || b.time <= 0 {
		return errors.New("-rounds, -warm and -time must be over zero")
	}
	if b.parts, err = chooseParts(*only); err != nil {
		return fmt.Errorf("-only: %w", err)
	}
	if b.hookspan, err = filepath.Abs(b.hookspan); err != nil {
		return fmt.Errorf("-hookspan: %w", err)
	}
	if _, err := os.Stat(b.hookspan); err != nil {
		return fmt.Errorf("-hookspan: %w: build it with go build -o bin/hookspan ./cmd/hookspan", err)
	}
	if b.dir, err = os.MkdirTemp(*parent, "hookspan-bench-"); err != nil {
		return fmt.Errorf("-dir: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.dir)) }()
	if b.dir, err = filepath.Abs(b.dir); err != nil {
		return fmt.Errorf("-dir: %w", err)
	}
	report, err := b.measure(ctx)
	if ctx.Err() != nil {
		return errors.New("interrupted")
	}
	if err != nil {
		return err
	}
	if *out != "" {
		if err := os.WriteFile(*out, []byte(report), 0o644); err != nil {
			return fmt.Errorf("-out: %w", err)
		}
	}
	_, err = io.WriteString(stdout, report)
	return err
}

// measure returns the report.
func (b *bench) measure(ctx context.Context) (string, error) {
	r := results{date: b.begin, rounds: b.rounds, warm: b.warm, time: b.time}
	var err error
	if r.machine, err = lookAtMachine(b.dir); err != nil {
		return "", err
	}
	before, err := lookAtProcessors()
	if err != nil {
		return "", err
	}
	for _, p := range b.parts {
		took, err := measureFsync(b.dir)
		if err != nil {
			return "", err
		}
		r.fsync = append(r.fsync, took...)
		b.progress("%s", p.title)
		f, err := p.measure(b, ctx)
		if err != nil {
			return "", fmt.Errorf("measuring %s: %w", p.name, err)
		}
		f.title = p.title
		r.findings = append(r.findings, f)
	}
	after, err := lookAtProcessors()
	if err != nil {
		return "", err
	}
	r.others, r.took = after.othersSince(before, runtime.NumCPU()), time.Since(b.begin)
	b.progress("done")
	return r.markdown(), nil
}

func (b *bench) progress(format string, args ...any) {
	_, _ = fmt.Fprintf(b.stderr, "%4.0fs  %s\n", time.Since(b.begin).Seconds(), fmt.Sprintf(format, args...))
}

// inDir is a path in the folder of this run.
func (b *bench) inDir(name string) string { return filepath.Join(b.dir, name) }

// steady is when a load that comes at a fixed rate is measured.
func (b *bench) steady() window { return window{warm: b.warm, measured: 4 * b.time} }
