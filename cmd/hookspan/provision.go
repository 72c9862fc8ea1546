package main

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/hookspan/hookspan/bridge/queue"
)

const (
	provisionTimeout = 30 * time.Second
	provisionRetry   = 5 * time.Second
	// provisionAgain is how long a stream that somebody changed or removed goes
	// unnoticed.
	provisionAgain = 30 * time.Second
)

// provision makes the streams what they are to be, and again from time to time.
// An embedded store must be ready before anything is served; an external one may
// come later, until then deliveries go into the spool and consumers wait.
func (s *store) provision(ctx context.Context, group *errgroup.Group, maxBody byteSize) error {
	if s.embedded != nil {
		if err := s.provisionOnce(ctx); err != nil {
			return err
		}
		s.warnOfSmallDisk()
		if s.spool != nil {
			drainer := queue.NewDrainer(s.spool, s.publisher, s.alarms, s.log)
			group.Go(func() error { return drainer.Run(ctx) })
		}
	}
	group.Go(func() error {
		wait, reached := provisionAgain, true
		if s.embedded == nil {
			wait, reached = 0, false
		}
		for s.waitToProvision(ctx, wait) {
			wait = provisionAgain
			err := s.provisionOnce(ctx)
			switch {
			case err != nil && ctx.Err() == nil:
				wait = provisionRetry
				if s.relay != nil && !errors.Is(err, queue.ErrUnfit) {
					s.relay.Unserved(err)
				}
				s.log.Error("provisioning failed, trying again", zap.Duration("in", wait), zap.Error(err))
			case err == nil && !reached && s.publish.Conn().IsConnected():
				reached = true
				s.warnOfSmallPayload(maxBody)
			}
		}
		return nil
	})
	return nil
}

// provisionOnce opens the publisher when the streams are fit, and shuts it when
// one is not. A store that cannot be reached changes nothing: the publisher finds
// that out by itself. Where somebody else provisions it changes no stream. The durables
// of an embedded store whose files are damaged come back with its streams.
func (s *store) provisionOnce(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, provisionTimeout)
	defer cancel()
	var changes []queue.Change
	var err error
	switch s.mode {
	case provisionCreate:
		err = queue.Provision(ctx, s.publish, s.cfg, s.log.Named("provision"), func(c queue.Change) { changes = append(changes, c) })
		s.raiseChanges(changes, err)
	case provisionVerify:
		changes, err = queue.Verify(ctx, s.publish, s.cfg)
		s.raiseDifferences(changes)
	}
	switch {
	case err == nil:
		s.publisher.SetFit(true)
	case errors.Is(err, queue.ErrUnfit):
		s.publisher.SetFit(false)
	}
	if s.embedded != nil {
		if err := s.embedded.RestoreDurables(ctx, s.alarms); err != nil {
			s.log.Error("the durables could not be looked after, trying again", zap.Error(err))
		}
	}
	return err
}
