package main

import (
	"context"
	"errors"
	"fmt"
	"os"
)

const (
	foldedBar   = 10_000 // events per second
	finishedBar = 256 * mib
	openBar     = 1.0 // s
	aloneBar    = 5   // ms
	crowdBar    = 20  // ms
	ledgerSpace = 4 * gib
	// ledgerRounds is how often a ledger is measured at most: a round is long.
	ledgerRounds  = 3
	foldedAtATime = 2 * mostBatch // predictions that run at the same time
)

// measurePredictions looks at the ledger of predictions, and at those who wait for
// them.
func (b *bench) measurePredictions(ctx context.Context) (f finding, err error) {
	dir := b.inDir("predictions")
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := os.Mkdir(dir, 0o700); err != nil {
		return f, fmt.Errorf("making a folder: %w", err)
	}
	free, err := freeSpace(b.dir)
	if err != nil {
		return f, err
	}
	if free < ledgerSpace {
		f.text = fmt.Sprintf("Not measured: the disk has %s free, this needs %s.", inMiB(free), inMiB(int64(ledgerSpace)))
		return f, nil
	}
	f.head = []string{"", "measured"}
	for _, measure := range []func(context.Context, string, *finding) error{b.measureFolded, b.measureLedgers, b.measureAwaited} {
		if err := measure(ctx, dir, &f); err != nil {
			return f, err
		}
	}
	return f, nil
}
