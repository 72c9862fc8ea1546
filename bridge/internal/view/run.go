package view

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/hookspan/hookspan/internal/backoff"
)

const (
	// firstRetry and lastRetry space the tries after an error.
	firstRetry, lastRetry = 250 * time.Millisecond, 30 * time.Second
	// lookEvery spaces the looks at the file and at how far the streams are.
	lookEvery = time.Second
)

var (
	errRemoved = errors.New("the view's file was removed or replaced")
	errRebuild = errors.New("the view is to be rebuilt")
	// errAnew: the view tells of events that are not in the stream.
	errAnew = errors.New("the stream of events was made anew, or lost its newest events")
)

// Run folds the streams until ctx ends or the view is closed, and returns nil. After any error
// it tries again, and makes the view anew if need be.
func (v *View) Run(ctx context.Context) error {
	v.running.Lock()
	defer v.running.Unlock()
	select {
	case <-v.closing:
		return nil
	default:
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-v.closing:
			cancel()
		case <-ctx.Done():
		}
	}()
	retry := backoff.Backoff{First: firstRetry, Max: lastRetry}
	for ctx.Err() == nil {
		began := time.Now()
		err := v.fold(ctx)
		if ctx.Err() != nil {
			return nil // the process ends
		}
		v.status.fail(err)
		anew := broken(err) || errors.Is(err, errRemoved) || errors.Is(err, errRebuild) || errors.Is(err, errAnew)
		if time.Since(began) > lastRetry {
			retry.Reset()
		}
		switch {
		case anew:
			v.log.Warn("the view is made anew from the streams", zap.Error(err))
			v.writing.Lock()
			err = v.makeAnew()
			v.writing.Unlock()
			if err != nil {
				v.status.fail(err)
				v.log.Error("the view cannot be made anew, trying again", zap.Error(err))
			}
		default:
			v.log.Error("the view stands still, trying again; nothing else depends on it", zap.Error(err))
		}
		backoff.Sleep(ctx, retry.Next())
	}
	return nil
}

// fold folds until ctx ends or something fails.
func (v *View) fold(ctx context.Context) error {
	if err := v.reopen(); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	blocks, heard := make(chan block), make(chan []told)
	for _, s := range v.streams {
		group.Go(func() error { return s.read(ctx, blocks) })
	}
	group.Go(func() error { v.hear(ctx, heard); return nil })
	group.Go(func() error { return v.foldBlocks(ctx, blocks, heard) })
	group.Go(func() error { return v.look(ctx) })
	group.Go(func() error { return v.prune(ctx) })
	return group.Wait()
}

// reopen opens the file if need be. The file says how far the view is: an error may have come
// after a transaction was stored.
func (v *View) reopen() error {
	v.writing.Lock()
	defer v.writing.Unlock()
	if db := v.db.Load(); db != nil {
		return v.loadPositions(db)
	}
	return v.open()
}

// foldBlocks folds blocks in the order in which they come.
func (v *View) foldBlocks(ctx context.Context, blocks <-chan block, heard <-chan []told) error {
	for {
		var began time.Time
		select {
		case <-ctx.Done():
			return nil
		case b := <-blocks:
			began = time.Now()
			if err := b.stream.foldBlock(b); err != nil {
				return fmt.Errorf("folding %s: %w", b.stream.name, err)
			}
			close(b.folded)
		case attempts := <-heard:
			began = time.Now()
			if err := v.foldAttempts(ctx, attempts); err != nil {
				return fmt.Errorf("folding attempts: %w", err)
			}
		}
		v.status.succeed()
		backoff.Sleep(ctx, v.yield(began))
	}
}

// maxYield bounds the pause behind one piece of work while the process is busy.
const maxYield = 5 * time.Second

// yield returns how long to pause after work that began then: a busy process gives the view
// a tenth of the time.
func (v *View) yield(began time.Time) time.Duration {
	if !v.cfg.Busy() {
		return 0
	}
	return min(9*time.Since(began), maxYield)
}

// look notices that the file is gone, that the view is to be rebuilt, and how far the
// streams are.
func (v *View) look(ctx context.Context) error {
	for {
		for _, s := range v.streams {
			if err := s.look(ctx); err != nil {
				return err
			}
		}
		if db := v.db.Load(); db == nil || !db.same() {
			return errRemoved
		}
		timer := time.NewTimer(lookEvery)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-v.rebuild:
			timer.Stop()
			return errRebuild
		case <-timer.C:
		}
	}
}
