package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"
)

// Stop ends the parts in reverse order of their start, and returns their failures. It returns
// after StopTime at the latest, even when a part hangs.
func (a *App) Stop() error {
	a.stop()
	return a.bounded(a.end)
}

func (a *App) end() error {
	a.ending.Do(func() {
		if a.started.Load() {
			a.log.Info("stopping")
			a.tell("STOPPING=1", "STATUS=stopping")
		}
		a.stop()
		ended := a.group.Wait()
		a.leaveSocket()
		a.ended = errors.Join(ended, a.accepting.Wait(), a.onStop.run())
	})
	return a.ended
}

// bounded calls f and returns its error, or another one when f has not returned StopTime after
// the App was told to stop. A part that hangs then ends with the process, as in a crash.
func (a *App) bounded(f func() error) error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err := <-done:
		return err
	case <-a.ctx.Done():
	}
	late := time.NewTimer(a.stopTime)
	defer late.Stop()
	select {
	case err := <-done:
		return err
	case <-late.C:
		return fmt.Errorf("the bridge did not end within %v%s, so it ends unfinished: no accepted event is lost by that", a.stopTime, a.onStop.hanging())
	}
}

// stopMargin is how long everything but the requests in flight may take to end: handlers have 20
// s, what was sent to a provider 30 and 15 more to be recorded, and then the journal has 10.
const stopMargin = time.Minute

// StopTime returns how long Stop takes at most.
func (a *App) StopTime() time.Duration { return a.stopTime }

// Run serves the configuration in opts.File until ctx ends or a part fails, and returns the
// failure. It calls ready once every part runs; an error of ready ends the App. A start that
// hangs when ctx ends is given up like a Stop that hangs. While Run runs, the log also takes
// what libraries write to the standard log.
func Run(ctx context.Context, opts Options, ready func(*App) error) error {
	opts, moved, err := moveFirst(ctx, opts)
	if err != nil || !moved {
		return err
	}
	seen := digests{}
	seen.add(opts.File) // before it is read, so that no later change is missed
	cfg, doc, err := opts.load()
	if err != nil {
		return err
	}
	seen.add(cfg.SecretFiles()...)
	a, err := newApp(cfg, doc, seen, opts)
	if err != nil {
		return err
	}
	defer zap.RedirectStdLog(a.log.Named("std"))()
	defer context.AfterFunc(ctx, a.stop)()
	return a.bounded(func() error {
		err := a.Start(ctx)
		if err == nil {
			err = ready(a)
		}
		if err == nil {
			<-a.Done()
		}
		return errors.Join(err, a.end())
	})
}
