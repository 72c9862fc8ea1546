package app

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/config"
	"github.com/hookspan/hookspan/bridge/internal/lasting"
	"github.com/hookspan/hookspan/bridge/internal/stream"
	"github.com/hookspan/hookspan/internal/streams"
)

const (
	provisionTimeout = 30 * time.Second
	provisionRetry   = 5 * time.Second
	// provisionAgain is how long a changed or removed stream goes unnoticed.
	provisionAgain = 30 * time.Second
	// kickPause is the least time between two looks at the streams that unanswered publishes
	// cause.
	kickPause = time.Second
)

// provisioner makes the streams and durables as they should be, or says what differs, by
// nats.provision.
type provisioner struct {
	*store

	durables *durableSet
	allowed  bool           // the user of NATS has all rights
	missing  error          // which it lacks, nil if none is known
	settled  bool           // the streams were once as they should be
	cleaned  bool           // what an earlier version has left is removed
	away     map[string]int // streams, by the server that was behind with them at the last look
	lasting  *lasting.Alarms

	once sync.Once
	done chan struct{} // closed once the streams were as they should be
}

func newProvisioner(s *store) *provisioner {
	return &provisioner{store: s, durables: newDurableSet(s), lasting: lasting.New(s.alarms), done: make(chan struct{})}
}

// runProvisioner provisions now and from time to time. An embedded store must be ready before
// anything is served; an external one may come later, and until then deliveries wait in the
// journal and consumers wait.
func (a *App) runProvisioner() error {
	p := a.provisioner
	if p.embedded != nil {
		if _, err := p.provision(a.ctx); err != nil {
			return err
		}
		p.warnOfSmallDisk()
		p.refill(a.ctx)
	}
	if p.embedded == nil {
		a.group.Go(p.whenProvisioned(a.ctx, func(ctx context.Context) error { p.refill(ctx); return nil }))
	}
	a.group.Go(func() error { p.run(a.ctx); return nil })
	return nil
}

// refill has the keeper know the last events again. Without that a repeated webhook is answered
// "stored", and stored once all the same.
func (p *provisioner) refill(ctx context.Context) {
	if p.keeper == nil || p.moving {
		return
	}
	if err := p.keeper.Refill(ctx); err != nil && ctx.Err() == nil {
		p.log.Warn("repeated webhooks of before this start are not recognised at once", zap.Error(err))
	}
}

func (p *provisioner) run(ctx context.Context) {
	wait, reached, said := provisionAgain, true, ""
	if p.embedded == nil {
		wait, reached = 0, false
	}
	for p.pause(ctx, wait) {
		wait = provisionAgain
		failed, err := p.provision(ctx)
		if failed != nil && ctx.Err() == nil { // somebody may be repairing it: look again soon
			wait = provisionRetry
			if failed.Error() != said {
				p.log.Error("a consumer's durable is not what it is to be, looking again", zap.Duration("every", wait), zap.Error(failed))
			}
			said = failed.Error()
		}
		if err == nil && p.forwarder != nil {
			p.forwarder.Served()
		}
		switch {
		case err != nil && ctx.Err() == nil:
			wait = provisionRetry
			// Another server of the same NATS would be no better where settings are wrong.
			_, unable := errors.AsType[*stream.Unable](err)
			if p.forwarder != nil && !unable && !errors.Is(err, stream.ErrUnfit) {
				p.forwarder.Unserved(err)
			}
			if !unable { // its alarm says so
				p.log.Error("provisioning failed, trying again", zap.Duration("in", wait), zap.Error(err))
			}
		case err == nil && !reached && p.publish.Conn().IsConnected():
			reached = true
			p.warnOfSmallPayload()
		}
	}
}

// pause returns true when it is time to look at the streams again: after wait, or earlier when a
// publish found no stream. It returns false when ctx ends.
func (p *provisioner) pause(ctx context.Context, wait time.Duration) bool {
	least := time.After(min(wait, kickPause))
	select {
	case <-ctx.Done():
		return false
	case <-least:
	}
	select {
	case <-ctx.Done():
		return false
	case <-p.publisher.Unserved():
	case <-time.After(wait - min(wait, kickPause)):
	}
	return true
}

// provision opens the publisher when the streams are fit and the durables of the configuration
// exist, and shuts it when a stream is not fit. When the store is out of reach nothing changes:
// the publisher notices that itself. Where somebody else provisions, provision changes nothing.
// Failures of single durables are in failed.
func (p *provisioner) provision(ctx context.Context) (failed, err error) {
	ctx, cancel := context.WithTimeout(ctx, provisionTimeout)
	defer cancel()
	p.tryRights(ctx)
	var changes []stream.Change
	var wrong []bridge.Alarm
	switch p.cfg.NATS.Provision {
	case config.ProvisionCreate:
		err = stream.Provision(ctx, p.publish, p.streams, p.log.Named("provision"), func(c stream.Change) { changes = append(changes, c) })
		wrong = p.raiseChanges(changes, err)
		if err == nil && !p.cleaned {
			p.removeOld(ctx)
		}
		if err == nil {
			p.restoreDurables(ctx)
			_, failed, err = p.durables.provision(ctx)
		}
	case config.ProvisionVerify:
		changes, err = stream.Verify(ctx, p.publish, p.streams)
		wrong = differences(changes)
		if err == nil {
			p.restoreDurables(ctx)
			failed = p.durables.verify(ctx)
		}
	case config.ProvisionNone:
		p.restoreDurables(ctx)
	}
	if err == nil {
		wrong = append(wrong, p.replicasAway(ctx)...)
	}
	for _, unfit := range []error{err, p.missing} {
		if unable, ok := errors.AsType[*stream.Unable](unfit); ok {
			wrong = append(wrong, unableAlarm(unable))
		}
	}
	if p.withoutJetStream(ctx, err) {
		wrong = append(wrong, bridge.Alarm{
			Kind: bridge.AlarmNoJetStream, Subject: p.cfg.Names().EventsStream(), Over: "NATS has JetStream",
			Text: p.noJetStream().Error() + "; webhooks wait in the journal meanwhile",
		})
		err = fmt.Errorf("%w: %w", p.noJetStream(), err)
	}
	if len(wrong) > 0 || err == nil || errors.Is(err, stream.ErrUnfit) { // otherwise nobody knows
		p.lasting.Look(wrong...)
	}
	switch {
	case err == nil:
		p.publisher.SetFit(true)
		p.once.Do(func() { close(p.done) })
	case errors.Is(err, stream.ErrUnfit):
		p.publisher.SetFit(false)
	}
	return failed, err
}

// whenProvisioned runs a function that needs the streams, once they were as they should be:
// before that the function would fail and log at every start without NATS. It returns nil when
// ctx ends before.
func (p *provisioner) whenProvisioned(ctx context.Context, run func(context.Context) error) func() error {
	return func() error {
		select {
		case <-p.done:
			return run(ctx)
		case <-ctx.Done():
			return nil
		}
	}
}

// restoreDurables repairs the durables of an embedded store whose files are damaged.
func (p *provisioner) restoreDurables(ctx context.Context) {
	if p.embedded == nil {
		return
	}
	if err := p.embedded.RestoreDurables(ctx, p.alarms); err != nil {
		p.log.Error("the durables could not be looked after, trying again", zap.Error(err))
	}
}

// errNoJetStream replaces the server's errors for an account or server without JetStream.
var errNoJetStream = errors.New("NATS has no JetStream, and keeps no event: start nats-server with --jetstream, or enable it for this account")

// withoutJetStream reports whether provisioning failed with err, which would say that no server
// answers, because NATS has no JetStream.
func (p *provisioner) withoutJetStream(ctx context.Context, err error) bool {
	if err == nil || !p.publish.Conn().IsConnected() {
		return false
	}
	_, account := p.publish.AccountInfo(ctx)
	return errors.Is(account, jetstream.ErrJetStreamNotEnabled) || errors.Is(account, jetstream.ErrJetStreamNotEnabledForAccount)
}

// warnOfSmallPayload warns when NATS takes smaller messages than the ingress takes bodies:
// larger webhooks are answered 413.
func (p *provisioner) warnOfSmallPayload() {
	maxBody := p.cfg.Ingress.MaxBody
	if limit := config.ByteSize(p.publish.Conn().MaxPayload() - streams.HeaderRoom); limit < maxBody {
		p.log.Warn("the NATS server takes smaller messages than ingress.max_body: raise its max_payload, or lower ingress.max_body",
			zap.Stringer("largest_body", limit), zap.Stringer("max_body", maxBody))
	}
}
