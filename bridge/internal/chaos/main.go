// Command chaos shows what Hookspan does with webhooks while something goes wrong.
// For each fault it runs a bridge, plays the provider with its retry schedule, at
// a higher pace, breaks something, and then reads every message of the stream: what
// was answered 200 must be there, once, to the byte, and the provider must not have
// given up on any webhook. It exits 0 only if that is so under every fault.
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
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sync/errgroup"
)

const (
	exitRight = 0
	exitWrong = 1
	exitUsage = 2
)

func main() {
	// The first signal asks to clean up; a second one ends at once, and the
	// processes that were started end with this one.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	if len(os.Args) > 1 && os.Args[1] == natsVerb {
		os.Exit(serveNATS(ctx, os.Args[2:], os.Stdout, os.Stderr))
	}
	self, err := os.Executable()
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(exitWrong)
	}
	os.Exit(run(ctx, self, os.Args[1:], os.Getenv("CI") != "", os.Stdout, os.Stderr))
}

// run reads the flags. With strict, a fault that the machine cannot have is a
// missed bar.
func run(ctx context.Context, self string, args []string, strict bool, stdout, stderr io.Writer) int {
	o := options{self: self}
	flags := flag.NewFlagSet("chaos", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.binary, "hookspan", filepath.Join("bin", "hookspan"), "the `program` to try")
	flags.IntVar(&o.events, "events", 100_000, "how many webhooks must be acknowledged under each fault")
	flags.IntVar(&o.faster, "faster", 20, "by how much the provider's time passes faster")
	flags.IntVar(&o.conns, "conns", 64, "how many requests are made at a time")
	flags.IntVar(&o.rate, "rate", 0, "how many new webhooks are begun in a second at most; 0 is a twentieth of -events, from 400 to 3000")
	flags.IntVar(&o.parallel, "parallel", 1, "how many faults are tried at a time; with more than 1 the times say little")
	flags.BoolVar(&o.keep, "keep", false, "leave every folder, to look around in; those of a fault with a missed bar stay anyway")
	only := flags.String("only", "", "run these faults only, `names` with commas between")
	list := flags.Bool("list", false, "list the faults and end")
	out := flags.String("json", "", "write the reports to this `file` too")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return exitRight
		}
		return exitUsage
	}
	if o.events < 1 || o.faster < 1 || o.conns < 1 || o.parallel < 1 || o.rate < 0 {
		_, _ = fmt.Fprintln(stderr, "chaos: -events, -faster, -conns and -parallel are at least 1, -rate is not negative")
		return exitUsage
	}
	if o.rate == 0 {
		o.rate = min(max(o.events/20, 400), 3000)
	}
	chosen, err := choose(*only)
	if err != nil {
		_, _ = fmt.Fprintln(stderr, "chaos:", err)
		return exitUsage
	}
	if *list {
		for _, f := range chosen {
			_, _ = fmt.Fprintf(stdout, "%-18s %s\n", f.name, f.about)
		}
		return exitRight
	}
	right, err := try(ctx, chosen, o, strict, *out, stdout)
	if err != nil {
		_, _ = fmt.Fprintln(stderr, "chaos:", err)
	}
	if err != nil || !right {
		return exitWrong
	}
	return exitRight
}

// choose returns the faults of these names, or all.
func choose(names string) ([]fault, error) {
	if names == "" {
		return faults, nil
	}
	var chosen []fault
	for name := range strings.SplitSeq(names, ",") {
		i := slices.IndexFunc(faults, func(f fault) bool { return f.name == name })
		if i < 0 {
			return nil, fmt.Errorf("there is no fault %q, -list names them", name)
		}
		chosen = append(chosen, faults[i])
	}
	return chosen, nil
}

// try runs the faults, some at a time, and prints their reports in order.
func try(ctx context.Context, chosen []fault, o options, strict bool, out string, stdout io.Writer) (right bool, err error) {
	if _, err := os.Stat(o.binary); err != nil {
		return false, fmt.Errorf("looking for the program to try: %w (make build makes it)", err)
	}
	if err := printHead(stdout); err != nil {
		return false, err
	}
	done := make([]chan *report, len(chosen))
	for i := range done {
		done[i] = make(chan *report, 1)
	}
	var running errgroup.Group
	running.SetLimit(o.parallel)
	begun := make(chan struct{})
	go func() {
		defer close(begun)
		for i, f := range chosen {
			running.Go(func() error { done[i] <- f.report(ctx, o); return nil })
		}
	}()
	defer func() { // also when interrupted: they clean up after themselves
		<-begun
		err = errors.Join(err, running.Wait())
	}()
	right = true
	var reports []*report
	for i := range chosen {
		r := <-done[i]
		if ctx.Err() != nil {
			return false, context.Cause(ctx)
		}
		right = right && len(r.Wrong) == 0 && (r.Skipped == "" || !strict)
		if err := r.print(stdout); err != nil {
			return false, err
		}
		reports = append(reports, r)
	}
	if out != "" {
		return right, writeReports(out, reports)
	}
	return right, nil
}

// report tries the fault if this machine can have it.
func (f fault) report(ctx context.Context, o options) *report {
	if missing := f.missing(); missing != "" {
		return &report{Fault: f.name, Skipped: missing}
	}
	if ctx.Err() != nil {
		return &report{Fault: f.name}
	}
	return f.try(ctx, o)
}
