// Package archive is the consumer that keeps the outputs of predictions: it downloads them
// before the provider deletes them. An [Archive] writes each event into a folder of its own:
//
//	<source>/<yyyy>/<mm>/<dd>/<prediction>/event.json       the sender's body
//	                                       event.signature  the sender's signature of the body
//	                                       0.png, 1.mp4, …  the outputs
//	                                       manifest.json    what is stored, with checksums
//
// The manifest is written last: where a manifest names no error, everything is there. A file has
// its final name only when the file is whole and on the disk. An attempt that was killed leaves
// files whose names end in .tmp; the next attempt on the event removes them.
package archive

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/consumers"
)

// maxOutputs bounds how many outputs one event can have.
const maxOutputs = 10_000

// Archive stores the outputs of events. Its methods are safe for concurrent use, but not after
// Close.
type Archive struct {
	name       string
	files      store
	downloader *downloader
	space      *space
	outage     *outage
	lives      *lives
	custody    *prometheus.CounterVec
	alarms     bridge.Alarmer
	folders    locks
	parallel   int
	delay      func(source string) time.Duration
	publish    func(context.Context, *bridge.Event) error
	// now is time.Now, except in tests of late outputs.
	now func() time.Time
}

// New checks the configuration and opens the archive. New creates a missing folder, and does not
// ask a bucket yet. The error names the field that is wrong and what to do about it.
func New(c Config) (*Archive, error) {
	c = c.withDefaults()
	if err := c.validate(); err != nil {
		return nil, fmt.Errorf("archive: %w", err)
	}
	files, err := openStore(c)
	if err != nil {
		return nil, fmt.Errorf("archive: location: %w", err)
	}
	return &Archive{
		name: c.Name, files: files, downloader: newDownloader(c), space: newSpace(c, files), outage: newOutage(c, files), lives: newLives(c), custody: newCustody(c.Name), alarms: c.Alarms,
		parallel: c.Parallel, delay: c.Delay, publish: c.Publish, now: time.Now,
	}, nil
}

func openStore(c Config) (store, error) {
	if c.Location.Dir != "" {
		return openDisk(c.Location.Dir)
	}
	return openObjects(context.Background(), c) // it only reads files
}

// Handle stores the event and its outputs, and publishes that they are archived. Handle returns
// nil when all of that is durable, and stores nothing that was stored before. Outputs that are
// no addresses are stored as they are.
//
// An error made by [consumers.Permanent] says that outputs are gone, too large or have unusable
// addresses; the other outputs are stored, and the manifest names the missing ones. Handling the
// event again tries the missing ones again.
//
// Any other error asks for a retry, which downloads only what is not stored yet. The retry comes
// within a tenth of the time for which the provider still keeps the outputs, or within a tenth
// of the time since the provider deleted them. After that life an output that cannot be had is
// gone. An output that is answered with 403 or 404 is gone [Config].Delay after the first
// attempt, and is asked for more often until then.
//
// When ctx ends, the error is the cause of that end; one that wraps [consumers.ErrTimeout] is a
// failed attempt. Handle waits while the disk has no room, so a full disk is no failed attempt.
// After an attempt that failed because the store cannot be written, [Archive.Wait] lets no
// further event be fetched until it can be.
func (a *Archive) Handle(ctx context.Context, ev *bridge.Event) error {
	p, err := ev.Prediction()
	if err != nil {
		return consumers.Permanent(fmt.Errorf("archiving: %w", err))
	}
	if n := len(p.Outputs); n > maxOutputs {
		return consumers.Permanent(fmt.Errorf("archiving: the event has %d outputs, at most %d are possible", n, maxOutputs))
	}
	unlock, err := a.folders.lock(ctx, folderKey(ev))
	if err != nil {
		return err
	}
	defer unlock()
	end := a.lives.end(ev)
	t := &attempt{
		Archive: a, ev: ev, outputs: p.Outputs, missing: len(p.Outputs), end: end, late: newLateness(ctx, a.now, end, a.delay(ev.Source)),
	}
	err = t.run(ctx)
	if err != nil && ctx.Err() != nil {
		// An attempt that took too long failed, any other that was ended is given back.
		if err = context.Cause(ctx); !errors.Is(err, consumers.ErrTimeout) {
			return err
		}
	}
	switch {
	case err == nil:
		a.lives.settled(ev)
		t.count()
		return nil
	case consumers.IsPermanent(err):
		a.lives.settled(ev)
		t.count()
		return fmt.Errorf("archiving: %w", err)
	}
	if _, other := asFault(err); !other && ctx.Err() == nil {
		err = a.outage.found(ctx, err)
	}
	err = fmt.Errorf("archiving: %w", err)
	within := a.lives.failed(ev, t.missing, err)
	if t.soon > 0 && t.after == 0 && (within == 0 || t.soon < within) {
		within = t.soon
	}
	return again(err, t.after, within)
}

// again asks for the next attempt after the time that the host wants, if the host has named one,
// but within the time that the outputs have left.
func again(err error, after, within time.Duration) error {
	switch {
	case after > 0 && within > 0:
		return consumers.RetryAfter(err, min(after, within))
	case after > 0:
		return consumers.RetryAfter(err, after)
	case within > 0:
		return consumers.RetryWithin(err, within)
	}
	return err
}

// Close closes idle connections and the archive.
func (a *Archive) Close() error {
	a.downloader.secure.CloseIdleConnections()
	a.downloader.plain.CloseIdleConnections()
	if err := a.files.close(); err != nil {
		return fmt.Errorf("archive: %w", err)
	}
	return nil
}
