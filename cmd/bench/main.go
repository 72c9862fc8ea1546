// Command bench measures a bridge against what it is made of, and writes its findings as
// Markdown. It runs on Linux, from the root of the module: parts of the bridge are
// measured by Go benchmarks, which it compiles.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/hookspan/hookspan/cmd/internal/rig"
)

// modes are what this program runs itself as.
var modes = map[string]rig.Mode{modeForge: runForge, modePeer: runPeer}

func main() {
	rig.Main(modes, func(ctx context.Context, args []string, stdout, stderr io.Writer) int {
		if err := run(ctx, args, stdout, stderr); err != nil {
			_, _ = fmt.Fprintln(stderr, "bench:", err)
			return rig.ExitWrong
		}
		return rig.ExitRight
	})
}

type bench struct {
	rounds     int
	warm, time time.Duration
	before     string // another bridge to compare with, or empty
	noPostgres string // why there is no PostgreSQL to compare with, or empty
	stderr     io.Writer
	begin      time.Time
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	b := &bench{stderr: stderr, begin: time.Now()}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	hookspan := flags.String("hookspan", "bin/hookspan", "the binary to measure")
	flags.IntVar(&b.rounds, "rounds", 5, "how often each thing is measured")
	flags.DurationVar(&b.warm, "warm", 300*time.Millisecond, "how long each load runs before it is measured")
	flags.DurationVar(&b.time, "time", 1200*time.Millisecond, "how long each load is measured; loads of a fixed rate four times as long")
	before := flags.String("before", "", "another binary, of an earlier commit, to compare with in accepting webhooks")
	only := flags.String("only", "", "the parts to run, with commas between: "+strings.Join(scenarioNames(), ",")+" (default all)") //nolint:contextcheck // a rig brings the context
	dir := flags.String("dir", os.TempDir(), "the folder to make temporary folders in; its disk is measured")
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
	chosen, err := chooseScenarios(*only) //nolint:contextcheck // a rig brings the context
	if err != nil {
		return fmt.Errorf("-only: %w", err)
	}
	if *before != "" {
		if b.before, err = exec.LookPath(*before); err == nil {
			b.before, err = filepath.Abs(b.before)
		}
		if err != nil {
			return fmt.Errorf("-before: %w", err)
		}
	}
	binary, err := filepath.Abs(*hookspan)
	folder, noFolder := filepath.Abs(*dir)
	// The rig and Go benchmarks make their folders there.
	if err := errors.Join(err, noFolder, os.Setenv("TMPDIR", folder)); err != nil {
		return err
	}
	r, err := rig.New(ctx, "bench", binary)
	if err != nil {
		return err
	}
	var report string
	err = rig.Try(func() {
		b.noPostgres = missingPostgres()
		report = b.measure(r, chosen)
	})
	err = errors.Join(err, r.Close(false))
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

func (b *bench) measure(r *rig.Rig, chosen []scenario) string {
	res := results{date: b.begin, rounds: b.rounds, warm: b.warm, time: b.time, machine: lookAtMachine(r.Dir)}
	before := lookAtProcessors()
	for _, s := range chosen {
		res.fsync = append(res.fsync, measureFsync(r.Dir)...)
		b.progress("%s", s.title)
		rig.Check(rig.Try(func() { res.sections = append(res.sections, b.section(r, s)) }), "measuring", s.name)
	}
	res.others, res.took = lookAtProcessors().othersSince(before), time.Since(b.begin)
	b.progress("done")
	return res.markdown()
}

func (b *bench) progress(format string, args ...any) {
	_, _ = fmt.Fprintf(b.stderr, "%4.0fs  %s\n", time.Since(b.begin).Seconds(), fmt.Sprintf(format, args...))
}

// window is when a load is measured whose senders wait for their answers.
func (b *bench) window() rig.Window { return rig.Window{Warm: b.warm, Measured: b.time} }

// steady is when a load of a fixed rate is measured.
func (b *bench) steady() rig.Window { return rig.Window{Warm: b.warm, Measured: 4 * b.time} }
