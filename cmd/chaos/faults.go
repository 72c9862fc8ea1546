package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/hookspan/hookspan/cmd/internal/rig"
)

// fault is one thing that goes wrong while webhooks come in.
type fault struct {
	name, about string
	// root and strace are what it needs of the machine.
	root, strace bool
	// damage: it destroys what nobody can heal, so what is lost is no bar.
	damage bool
	run    func(l *lab)
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

// chosenFaults returns the faults of these names, or all.
func chosenFaults(names string) (chosen []fault, err error) {
	if names == "" {
		return faults, nil
	}
	byName := map[string]fault{}
	for _, f := range faults {
		byName[f.name] = f
	}
	for name := range strings.SplitSeq(names, ",") {
		f, ok := byName[name]
		if !ok {
			return nil, fmt.Errorf("there is no fault %q, -list names them", name)
		}
		chosen = append(chosen, f)
	}
	return chosen, nil
}

// missing says what the machine does not have that the fault needs.
func (f *fault) missing() string {
	if f.root && os.Geteuid() != 0 {
		return "needs root, for a disk of its own"
	}
	if f.strace {
		return rig.MissingSlower()
	}
	return ""
}
