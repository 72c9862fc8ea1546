package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"
)

// fault is one thing that goes wrong while webhooks come in.
type fault struct {
	name, about string
	// root and strace are what it needs of the machine.
	root, strace bool
	// damage: it destroys what nobody can heal, so what is lost is no bar.
	damage bool
	run    func(ctx context.Context, l *lab) error
}

// faults are all of them, in the order in which they run.
var faults = []fault{
	{name: "kill-9", about: "the bridge is killed again and again under load", run: killBridge},
	{name: "two-processes", about: "a second bridge is started on the data folder of the first", run: secondProcess},
	{name: "slow-disk", about: "every fsync of the bridge takes 2 ms longer", strace: true, run: slowDisk},
	{name: "hung-disk", about: "the disk hangs for seconds, again and again", root: true, run: hungDisk},
	{name: "full-disk", about: "the disk of the store is full for a while", root: true, run: fullDisk},
	{name: "full-archive", about: "the disk of the archive is full", root: true, run: fullArchive},
	{name: "full-stream", about: "the stream is full of events that were handled hours ago", run: fullStream},
	{name: "power-cut", about: "the power fails: only what was synced is left", root: true, run: powerCut},
	{name: "power-cut-spool", about: "the power fails while events lie in the spool", root: true, run: powerCutSpool},
	{name: "bit-flip", about: "a byte in the store changes", damage: true, run: bitFlip},
	{name: "truncation", about: "the end of the store is cut off", damage: true, run: truncation},
	{name: "replay", about: "captured requests are sent again, 50 minutes, 3 hours and 3 days later", run: replay},
	{name: "nats-stopped", about: "NATS is stopped for longer than the sender's schedule", run: natsStopped},
	{name: "nats-frozen", about: "NATS is frozen (SIGSTOP) for longer than the sender's schedule", run: natsFrozen},
	{name: "half-open", about: "connections to NATS swallow everything, and are never closed", run: halfOpen},
	{name: "rolling-restart", about: "two bridges behind a balancer are restarted in turn", run: rollingRestart},
	{name: "cluster-leader", about: "three NATS servers: the stream's leader is killed, again and again", run: clusterLeader},
	{name: "cluster-quorum", about: "three NATS servers: two are stopped for longer than the sender's schedule", run: clusterQuorum},
	{name: "cluster-split", about: "three NATS servers: the bridge is on the side that has no quorum", run: clusterSplit},
}

// missing says what the machine does not have that the fault needs.
func (f *fault) missing() string {
	if f.root && os.Geteuid() != 0 {
		return "needs root, for a disk of its own"
	}
	if _, err := exec.LookPath("strace"); f.strace && err != nil {
		return "needs strace"
	}
	return ""
}

// try runs one fault and judges it. What keeps it from running to its end is a
// missed bar too.
func (f *fault) try(ctx context.Context, o options) *report {
	begun := time.Now()
	l, err := newLab(f.name, o)
	if err != nil {
		return &report{Fault: f.name, Wrong: []string{err.Error()}}
	}
	l.damage = f.damage
	err = f.run(ctx, l)
	if l.sender != nil {
		l.sender.finish()
	}
	r, c := l.report, l.book.snapshot()
	r.Sent, r.Acknowledged, r.Abandoned, r.Duplicates = c.sent, c.acknowledged, c.abandoned, c.duplicates
	r.RefusedBy, r.Results = c.refused, c.results
	for _, n := range c.refused {
		r.Refused += n
	}
	r.Recover = l.book.recovery.Seconds()
	if err != nil {
		r.Wrong = append(r.Wrong, err.Error())
	}
	r.Wrong = append(r.Wrong, l.book.strange...)
	r.judge(o.events, f.damage, l.examples)
	if err := l.close(ctx.Err() != nil); err != nil && !errors.Is(err, context.Canceled) {
		r.Wrong = append(r.Wrong, fmt.Sprintf("cleaning up: %v", err))
	}
	r.Took = time.Since(begun).Seconds()
	return r
}
