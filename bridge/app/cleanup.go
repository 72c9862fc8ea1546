package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
)

// cleanup ends named parts in the reverse order of their start.
type cleanup struct {
	list   []ending
	ending atomic.Pointer[string] // the part whose end has begun
}

type ending struct {
	name string
	end  func() error
}

func (c *cleanup) add(name string, end func() error) { c.list = append(c.list, ending{name, end}) }

// background runs f until its turn to end comes, even when ctx ends earlier.
func (c *cleanup) background(ctx context.Context, name string, f func(ctx context.Context)) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() { defer close(done); f(ctx) }()
	c.add(name, func() error {
		cancel()
		<-done
		return nil
	})
}

func (c *cleanup) run() error {
	var errs []error
	for _, part := range slices.Backward(c.list) {
		c.ending.Store(&part.name)
		if err := part.end(); err != nil {
			errs = append(errs, fmt.Errorf("ending the %s: %w", part.name, err))
		}
	}
	return errors.Join(errs...)
}

// hanging names the part whose end has begun, for an error; "" for none.
func (c *cleanup) hanging() string {
	if name := c.ending.Load(); name != nil {
		return " (the " + *name + " hangs)"
	}
	return ""
}
