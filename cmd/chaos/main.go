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
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/hookspan/hookspan/cmd/internal/rig"
)

func main() {
	strict := os.Getenv("CI") != ""
	rig.Main(nil, func(ctx context.Context, args []string, stdout, stderr io.Writer) int {
		return run(ctx, args, strict, stdout, stderr)
	})
}

// run reads the flags. With strict, a fault that the machine cannot have is a missed bar.
func run(ctx context.Context, args []string, strict bool, stdout, stderr io.Writer) int {
	var o options
	flags := flag.NewFlagSet("chaos", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.binary, "hookspan", filepath.Join("bin", "hookspan"), "the `program` to try")
	flags.StringVar(&o.before, "before", "", "a `program` of an earlier commit, to go to and fro between; without it the faults that need one are left out")
	flags.IntVar(&o.events, "events", 100_000, "how many webhooks must be acknowledged under each fault")
	flags.IntVar(&o.faster, "faster", 20, "by how much the provider's time passes faster")
	flags.IntVar(&o.conns, "conns", 64, "how many requests are made at a time")
	flags.IntVar(&o.rate, "rate", 0, "how many new webhooks are begun in a second at most; 0 is a twentieth of -events, from 400 to 3000")
	parallel := flags.Int("parallel", 1, "how many faults are tried at a time; with more than 1 the times say little")
	flags.BoolVar(&o.keep, "keep", false, "leave every folder, to look around in; those of a fault with a missed bar stay anyway")
	flags.StringVar(&o.server, "nats-server", "", "a nats-server `program`, instead of the server that is built in")
	flags.DurationVar(&o.away, "away", 5*time.Minute, "how long the quorum is away in cluster-roles")
	only := flags.String("only", "", "run these faults only, `names` with commas between")
	list := flags.Bool("list", false, "list the faults and end")
	out := flags.String("json", "", "write the reports to this `file` too")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return rig.ExitRight
		}
		return rig.ExitUsage
	}
	if o.events < 1 || o.faster < 1 || o.conns < 1 || *parallel < 1 || o.rate < 0 {
		_, _ = fmt.Fprintln(stderr, "chaos: -events, -faster, -conns and -parallel are at least 1, -rate is not negative")
		return rig.ExitUsage
	}
	if o.rate == 0 {
		o.rate = min(max(o.events/20, 400), 3000)
	}
	chosen, err := chosenFaults(*only, o.before != "")
	if err != nil {
		_, _ = fmt.Fprintln(stderr, "chaos:", err)
		return rig.ExitUsage
	}
	if *list {
		for _, f := range chosen {
			_, _ = fmt.Fprintf(stdout, "%-18s %s\n", f.name, f.about)
		}
		return rig.ExitRight
	}
	reports, err := try(ctx, chosen, o, *parallel, stdout)
	if err == nil && *out != "" {
		err = writeReports(*out, reports)
	}
	if err != nil {
		_, _ = fmt.Fprintln(stderr, "chaos:", err)
		return rig.ExitWrong
	}
	for _, r := range reports {
		if len(r.Wrong) > 0 || r.Skipped != "" && strict {
			return rig.ExitWrong
		}
	}
	return rig.ExitRight
}

// try runs the faults, some at a time, and prints their reports in order.
func try(ctx context.Context, chosen []fault, o options, parallel int, stdout io.Writer) (reports []*report, err error) {
	if err := printHead(stdout); err != nil {
		return nil, err
	}
	done := make([]chan *report, len(chosen))
	for i := range done {
		done[i] = make(chan *report, 1)
	}
	var running errgroup.Group
	running.SetLimit(parallel + 1) // with the one that begins them
	running.Go(func() error {
		for i, f := range chosen {
			running.Go(func() error { done[i] <- f.try(ctx, o); return nil })
		}
		return nil
	})
	defer func() { err = errors.Join(err, running.Wait()) }() // also when interrupted: they clean up after themselves
	for i := range chosen {
		r := <-done[i]
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if err := r.print(stdout); err != nil {
			return nil, err
		}
		reports = append(reports, r)
	}
	return reports, nil
}

type fault struct {
	name, about string
	// root and strace are what it needs of the machine.
	root, strace bool
	// damage: it destroys what nobody can heal, so what is lost is no bar.
	damage bool
	before bool // it needs a binary of an earlier commit
	long   bool // it is tried only when it is named
	run    func(l *lab)
}

var faults = []fault{
	{name: "kill-9", about: "the bridge is killed again and again under load", run: killBridge},
	{name: "kill-moments", about: "the bridge is killed at the worst moments: around a sync, the position, a start", root: true, strace: true, run: killMoments},
	{name: "held-socket", about: "the bridge is restarted again and again on a socket that its parent holds", run: heldSocket},
	{name: "two-processes", about: "a second bridge is started on the data folder of the first", run: secondProcess},
	{name: "slow-disk", about: "every fsync of the bridge takes 2 ms longer", strace: true, run: slowDisk},
	{name: "hung-disk", about: "the disk hangs for seconds, again and again", root: true, run: hungDisk},
	{name: "hung-journal", about: "the disk of the journal hangs for seconds while an external NATS is there", root: true, run: hungJournal},
	{name: "full-disk", about: "the disk of the store is full for a while", root: true, run: fullDisk},
	{name: "full-archive", about: "the disk of the archive is full", root: true, run: fullArchive},
	{name: "full-stream", about: "the stream is full of events that were handled hours ago", run: fullStream},
	{name: "power-cut", about: "the power fails: only what was synced is left", root: true, run: powerCut},
	{name: "power-cut-journal", about: "the power fails while NATS is away", root: true, run: powerCutJournal},
	{name: "sync-errors", about: "the disk of the journal fails to sync, once and for a while, and then the power", root: true, strace: true, run: syncErrors},
	{name: "journal-no-room", about: "the disk has no room for a segment of the journal, and then has", root: true, run: journalNoRoom},
	{name: "journal-damage", about: "a byte of the journal changes and its end is cut off while NATS is away", damage: true, run: journalDamage},
	{name: "journal-moved", about: "the journal is read-only, or newer; then it is copied, behind a link, to another disk", root: true, run: journalMoved},
	{name: "bit-flip", about: "a byte in the store changes", damage: true, run: bitFlip},
	{name: "truncation", about: "the end of the store is cut off", damage: true, run: truncation},
	{name: "replay", about: "captured requests are sent again, 50 minutes, 3 hours and 3 days later", run: replay},
	{name: "hours-away", about: "a bridge that had forwarded its journal comes back hours and days later, or in the past", root: true, strace: true, run: hoursAway},
	{name: "stream-trouble", about: "the stream is full for a while, and then is removed", run: streamTrouble},
	{name: "nats-day-away", about: "NATS is away for ten times as many webhooks", run: natsDayAway},
	{name: "nats-stopped", about: "NATS is stopped for longer than the sender's schedule", run: natsStopped},
	{name: "nats-frozen", about: "NATS is frozen (SIGSTOP) for longer than the sender's schedule", run: natsFrozen},
	{name: "half-open", about: "connections to NATS swallow everything, and are never closed", run: halfOpen},
	{name: "rolling-restart", about: "two bridges behind a balancer are restarted in turn", run: rollingRestart},
	{name: "killed-pair", about: "two bridges behind a balancer are killed in turn", run: killedPair},
	{name: "upgrade", about: "the bridge is replaced by an earlier version and back, again and again", before: true, run: upgrade},
	{name: "two-versions", about: "two bridges of different versions share one NATS, and change theirs in turn", before: true, run: twoVersions},
	{name: "cluster-leader", about: "three NATS servers: the stream's leader is killed, again and again", run: clusterLeader},
	{name: "cluster-quorum", about: "three NATS servers: two are stopped for longer than the sender's schedule", run: clusterQuorum},
	{name: "cluster-split", about: "three NATS servers: the bridge is on the side that has no quorum", run: clusterSplit},
	{name: "cluster-roles", about: "three NATS servers, two bridges of each role: all of that to all of them, with a restart of everything", long: true, run: clusterRoles},
}

// chosenFaults returns the faults of these names, or all that can be tried with or without an
// earlier version.
func chosenFaults(names string, before bool) (chosen []fault, err error) {
	if names == "" {
		return slices.DeleteFunc(slices.Clone(faults), func(f fault) bool { return f.before && !before || f.long }), nil
	}
	for name := range strings.SplitSeq(names, ",") {
		i := slices.IndexFunc(faults, func(f fault) bool { return f.name == name })
		if i < 0 {
			return nil, fmt.Errorf("there is no fault %q, -list names them", name)
		}
		if faults[i].before && !before {
			return nil, fmt.Errorf("fault %q needs -before", name)
		}
		chosen = append(chosen, faults[i])
	}
	return chosen, nil
}

// missing says what the machine does not have that the fault needs.
func (f *fault) missing() string {
	if f.root && os.Geteuid() != 0 {
		return "needs root, for a disk of its own"
	}
	if f.strace {
		return rig.MissingTracer()
	}
	return ""
}
