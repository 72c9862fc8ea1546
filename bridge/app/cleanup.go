package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"
)

// cleanup ends named parts in the reverse order of their start.
type cleanup []ending

type ending struct {
	name string
	end  func() error
}

func (c *cleanup) add(name string, end func() error) { *c = append(*c, ending{name, end}) }

// background runs f until its turn to end comes, however early the values' own
// context ends.
func (c *cleanup) background(name string, values context.Context, f func(ctx context.Context) error) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(values))
	done := make(chan error, 1)
	go func() { done <- f(ctx) }()
	c.add(name, func() error {
		cancel()
		return <-done
	})
}

func (c *cleanup) run() error {
	var errs []error
	for i := range slices.Backward(*c) {
		if err := (*c)[i].end(); err != nil {
			errs = append(errs, fmt.Errorf("ending the %s: %w", (*c)[i].name, err))
		}
	}
	return errors.Join(errs...)
}

// endWithin returns what done delivers. Once ctx has ended it waits for at most
// the limit: whatever hangs then is ended with the process, as a crash ends it.
func endWithin(ctx context.Context, limit time.Duration, done <-chan error) error {
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	late := time.NewTimer(limit)
	defer late.Stop()
	select {
	case err := <-done:
		return err
	case <-late.C:
		return fmt.Errorf("the bridge did not end within %v, so it ends unfinished: no accepted event is lost by that", limit)
	}
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
