package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// runForge sends forged webhooks to the address that args names, each connection
// the next one as soon as one is refused, until it is told to end. It is a process
// of its own, so that good deliveries do not wait in its queues. Its last line is
// how many were refused in a second.
func runForge(ctx context.Context, args []string, stdout io.Writer) (err error) {
	forged, err := newPool(1, failedWebhook())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, forged.close()) }()
	forged.renew(1)
	// The signature is as long as a good one, and wrong.
	digit := &forged.request(0)[forged.signature]
	*digit = map[bool]byte{true: '1', false: '0'}[*digit == '0']
	all, hangUp, err := dialAll(ctx, args[0], forgers)
	if err != nil {
		return err
	}
	defer hangUp()
	if err := (modeReady{}).print(stdout); err != nil {
		return err
	}
	var refused atomic.Int64
	begin := time.Now()
	var group errgroup.Group
	for _, s := range all {
		group.Go(func() error {
			for ctx.Err() == nil {
				if err := s.sendForged(forged.request(0)); err != nil {
					return err
				}
				refused.Add(1)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return json.NewEncoder(stdout).Encode(float64(refused.Load()) / time.Since(begin).Seconds())
}
