// Package rig is where Hookspan is tried. It starts bridges, NATS servers, clusters,
// disks and proxies, sends webhooks to them, and ends everything with the experiment.
// The programs cmd/bench, cmd/chaos and cmd/demo share it.
//
// An experiment is a function that has a [Rig]. What fails ends it, as in a test: most
// functions here return no error but call [Check], and [Try] returns the error to whoever
// began the experiment.
package rig

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Rig is a folder, a context, and everything that was started and must end with it. Its
// methods are for the goroutine of the experiment.
type Rig struct {
	Dir    string // the folder of everything that is written
	Binary string // the hookspan program under trial
	// NATSBinary is the nats-server program that NATS servers are; empty for the server that is
	// built into this program.
	NATSBinary string

	ctx     context.Context //nolint:containedctx,nolintlint // a Rig is to an experiment what testing.T is to a test
	closers []func() error
}

// New makes a folder for an experiment with the program binary. The experiment ends when
// ctx does.
func New(ctx context.Context, name, binary string) (*Rig, error) {
	if _, err := os.Stat(binary); err != nil {
		return nil, fmt.Errorf("looking for the program to try: %w (make build makes it)", err)
	}
	dir, err := os.MkdirTemp("", "hookspan-"+name+"-")
	if err != nil {
		return nil, fmt.Errorf("making a folder: %w", err)
	}
	return &Rig{Dir: dir, Binary: binary, ctx: ctx}, nil
}

// Context ends when the experiment is interrupted.
func (r *Rig) Context() context.Context { return r.ctx }

// Path is a file or folder of this experiment.
func (r *Rig) Path(name string) string { return filepath.Join(r.Dir, name) }

// OnClose has f called at the end, the last one first.
func (r *Rig) OnClose(f func() error) { r.closers = append(r.closers, f) }

// Close ends everything that was started, the last one first, and removes the folder
// unless that is kept.
func (r *Rig) Close(keep bool) error {
	var errs []error
	for _, f := range slices.Backward(r.closers) {
		errs = append(errs, f())
	}
	r.closers = nil
	if !keep {
		errs = append(errs, os.RemoveAll(r.Dir))
	}
	return errors.Join(errs...)
}

// Within runs a part of the experiment in a folder of its own. What the part starts ends
// with it, and the folder goes.
func (r *Rig) Within(name string, f func(r *Rig)) {
	part := &Rig{Dir: r.Path(name), Binary: r.Binary, NATSBinary: r.NATSBinary, ctx: r.ctx}
	Check(os.MkdirAll(part.Dir, 0o700))
	err := Try(func() { f(part) })
	Check(errors.Join(err, part.Close(false)))
}

// Pause lets time pass.
func (r *Rig) Pause(d time.Duration) { Check(Pause(r.ctx, d)) }

// askTimeout bounds one question of [Rig.Until].
const askTimeout = 2 * time.Second

// Until asks, again and again, until is returns true, and returns an error that names
// what it waited for when its patience is over.
func (r *Rig) Until(what string, patience, every time.Duration, is func(ctx context.Context) bool) error {
	ctx, cancel := context.WithTimeout(r.ctx, patience)
	defer cancel()
	for {
		asked, stop := context.WithTimeout(ctx, askTimeout)
		yes := is(asked)
		stop()
		if yes {
			return nil
		}
		if err := Pause(ctx, every); err != nil {
			return fmt.Errorf("waiting until %s: %w", what, err)
		}
	}
}

// Pause waits for d, and returns the cause when ctx ends before.
func Pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

type failure struct{ err error }

// Check ends the experiment with err, and what was being done, unless err is nil. It must
// run below [Try], on the goroutine of the experiment.
func Check(err error, doing ...string) {
	if err != nil && len(doing) > 0 {
		err = fmt.Errorf("%s: %w", strings.Join(doing, " "), err)
	}
	if err != nil {
		panic(failure{err})
	}
}

// Must returns v, or ends the experiment: see [Check].
func Must[T any](v T, err error) T {
	Check(err)
	return v
}

// Try calls f and returns the error with which [Check] or [Must] ended it.
func Try(f func()) (err error) {
	defer func() {
		switch ended := recover().(type) {
		case nil:
		case failure:
			err = ended.err
		default:
			panic(ended)
		}
	}()
	f()
	return nil
}
