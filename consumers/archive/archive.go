// Package archive is the consumer that keeps the outputs of predictions: it
// downloads them before the provider deletes them. An [Archive] writes each event
// into a folder of its own:
//
//	<source>/<yyyy>/<mm>/<dd>/<prediction>/event.json       the sender's body
//	                                       event.signature  what the sender signed it with
//	                                       0.png, 1.mp4, …  the outputs
//	                                       manifest.json    what is stored, with checksums
//
// The manifest is written last, so where it names no error, everything is there.
// A file has its final name only when it is whole and on the disk.
package archive

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/consumers"
)

// maxOutputs bounds how many outputs one event can have.
const maxOutputs = 10_000

// Archive stores the outputs of events. Its methods may be called concurrently,
// but nothing after Close.
type Archive struct {
	name       string
	files      store
	downloader *downloader
	space      *space
	lives      *lives
	alarms     bridge.Alarmer
	folders    locks
	parallel   int
	delay      func(source string) time.Duration
	publish    func(context.Context, *bridge.Event) error
	// now is the clock that says how long outputs are late, another one in tests.
	now func() time.Time
}

// New checks the configuration and opens the archive. A folder is created when it is
// missing; a bucket is not asked for yet. The error names the field that is wrong and what to do about it.
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
		name: c.Name, files: files, downloader: newDownloader(c), space: newSpace(c, files), lives: newLives(c), alarms: c.Alarms,
		parallel: c.Parallel, delay: c.Delay, publish: c.Publish, now: time.Now,
	}, nil
}

func openStore(c Config) (store, error) {
	if c.Location.Dir != "" {
		return openDisk(c.Location.Dir)
	}
	return openObjects(context.Background(), c) // it reads files, no more
}

// Handle stores the event and its outputs, and publishes that they are archived. It
// returns nil when all of it is durable, and stores nothing when it was before.
// Outputs that are no addresses are stored as they are.
//
// An error made by [consumers.Permanent] says that outputs are gone, too large or
// have unusable addresses; the others are stored and the manifest names what is
// missing. Handling the event again tries these again. Any other error asks for a
// retry, which downloads only what is not stored yet, within a tenth of the time that
// the provider still keeps the outputs, or has not kept them any more. Once that is over,
// whatever could not be had is gone. An output that is answered with 403 or 404 is gone
// [Config].Delay after the first attempt already, and asked for more often until then. When ctx ends, the error is its cause; it wraps
// [consumers.ErrTimeout], which is a failed attempt.
//
// Without room on the disk Handle waits until there is some, so a full disk is
// not a failed attempt.
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
		// One that took too long is a failed attempt, others are given back.
		if err = context.Cause(ctx); !errors.Is(err, consumers.ErrTimeout) {
			return err
		}
	}
	switch {
	case err == nil:
		a.lives.settled(ev)
		return nil
	case consumers.IsPermanent(err):
		a.lives.settled(ev)
		return fmt.Errorf("archiving: %w", err)
	}
	err = fmt.Errorf("archiving: %w", err)
	within := a.lives.failed(ev, t.missing, err)
	if t.soon > 0 && t.after == 0 && (within == 0 || t.soon < within) {
		within = t.soon
	}
	return again(err, t.after, within)
}

// again asks for the next attempt after what the sender wants, if that is said, but
// within what its outputs have left.
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

// Close closes the connections that are kept for further downloads, and the
// archive.
func (a *Archive) Close() error {
	a.downloader.secure.CloseIdleConnections()
	a.downloader.plain.CloseIdleConnections()
	if err := a.files.close(); err != nil {
		return fmt.Errorf("archive: %w", err)
	}
	return nil
}
