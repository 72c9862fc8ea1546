package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/config"
	"github.com/hookspan/hookspan/bridge/internal/stream"
)

const (
	provisionTimeout = 30 * time.Second
	provisionRetry   = 5 * time.Second
	// provisionAgain is how long a stream that somebody changed or removed goes
	// unnoticed.
	provisionAgain = 30 * time.Second
)

// provision makes the streams and durables what they are to be, and again from time to time.
// An embedded store must be ready before anything is served; an external one may
// come later, until then deliveries go into the spool and consumers wait.
func (s *store) provision(ctx context.Context, group *errgroup.Group, maxBody config.ByteSize) error {
	if s.embedded != nil {
		if _, err := s.provisionOnce(ctx); err != nil {
			return err
		}
		s.warnOfSmallDisk()
		if s.spool != nil {
			drainer := stream.NewDrainer(s.spool, s.publisher, s.alarms, s.log)
			group.Go(func() error { return drainer.Run(ctx) })
		}
	}
	group.Go(func() error {
		wait, reached, said := provisionAgain, true, ""
		if s.embedded == nil {
			wait, reached = 0, false
		}
		for s.waitToProvision(ctx, wait) {
			wait = provisionAgain
			failed, err := s.provisionOnce(ctx)
			if failed != nil && ctx.Err() == nil { // somebody should be at work on it
				wait = provisionRetry
				if failed.Error() != said {
					s.log.Error("a consumer's durable is not what it is to be, looking again", zap.Duration("every", wait), zap.Error(failed))
				}
				said = failed.Error()
			}
			switch {
			case err != nil && ctx.Err() == nil:
				wait = provisionRetry
				if s.relay != nil && !errors.Is(err, stream.ErrUnfit) {
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

// provisionOnce opens the publisher when the streams are fit and the durables of the
// configuration exist, and shuts it when a stream is not fit. A store that cannot be
// reached changes nothing: the publisher finds that out by itself. Where somebody else
// provisions it changes nothing. What is wrong with a durable alone is in failed.
func (s *store) provisionOnce(ctx context.Context) (failed, err error) {
	ctx, cancel := context.WithTimeout(ctx, provisionTimeout)
	defer cancel()
	var changes []stream.Change
	switch s.mode {
	case config.ProvisionCreate:
		err = stream.Provision(ctx, s.publish, s.cfg, s.log.Named("provision"), func(c stream.Change) { changes = append(changes, c) })
		s.raiseChanges(changes, err)
		if err == nil {
			s.restoreDurables(ctx)
			_, failed, err = s.durables.provision(ctx)
		}
	case config.ProvisionVerify:
		changes, err = stream.Verify(ctx, s.publish, s.cfg)
		s.raiseDifferences(changes)
		if err == nil {
			s.restoreDurables(ctx)
			failed = s.durables.verify(ctx)
		}
	case config.ProvisionNone:
		s.restoreDurables(ctx)
	}
	err = s.explain(ctx, err)
	switch {
	case err == nil:
		s.publisher.SetFit(true)
		s.provisionedOnce.Do(func() { close(s.provisioned) })
	case errors.Is(err, stream.ErrUnfit):
		s.publisher.SetFit(false)
	}
	return failed, err
}

// onceProvisioned runs what works on the streams once they were what they are to be.
// Before that it could only fail, and say so for every start against a NATS that is not
// reached yet. It returns nil when ctx ends before.
func (s *store) onceProvisioned(ctx context.Context, run func(context.Context) error) func() error {
	return func() error {
		select {
		case <-s.provisioned:
			return run(ctx)
		case <-ctx.Done():
			return nil
		}
	}
}

// restoreDurables brings back the durables of an embedded store whose files are damaged.
func (s *store) restoreDurables(ctx context.Context) {
	if s.embedded == nil {
		return
	}
	if err := s.embedded.RestoreDurables(ctx, s.alarms); err != nil {
		s.log.Error("the durables could not be looked after, trying again", zap.Error(err))
	}
}

// errNoJetStream is what nobody answers, or an account without streams, comes to.
var errNoJetStream = errors.New("NATS has no JetStream, and keeps no event: start nats-server with --jetstream, or enable it for this account")

// explain says it when NATS has no JetStream, where err would say that nobody answers.
func (s *store) explain(ctx context.Context, err error) error {
	if err == nil || !s.publish.Conn().IsConnected() {
		return err
	}
	_, asked := s.publish.AccountInfo(ctx)
	if !errors.Is(asked, jetstream.ErrJetStreamNotEnabled) && !errors.Is(asked, jetstream.ErrJetStreamNotEnabledForAccount) {
		return err
	}
	s.alarms.Raise(bridge.Alarm{Kind: bridge.AlarmNoJetStream, Subject: s.cfg.Names.EventsStream(), Text: errNoJetStream.Error() + "; webhooks go into the spool meanwhile"})
	return fmt.Errorf("%w: %w", errNoJetStream, err)
}
