package app

import (
	"context"
	"fmt"

	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/stream"
)

// tryRights tries what this process may do in an external NATS, until nothing is missing. A right
// that is missing shows elsewhere only as a call that nobody answers.
func (p *provisioner) tryRights(ctx context.Context) {
	if p.embedded != nil || p.allowed || !p.publish.Conn().IsConnected() {
		return
	}
	p.missing = nil
	external, err := externalConfig(p.cfg.NATS, p.getenv, zap.NewNop())
	var trial *stream.Trial
	if err == nil {
		bounded, cancel := context.WithTimeout(ctx, askTime)
		defer cancel()
		trial, err = stream.Try(bounded, external, rightsOf(p.cfg, external))
	}
	if err != nil {
		p.log.Info("the rights in NATS could not be tried", zap.Error(err))
		return
	}
	p.missing = trial.Denied()
	p.allowed = p.missing == nil
}

func unableAlarm(u *stream.Unable) bridge.Alarm {
	return bridge.Alarm{Kind: bridge.AlarmNATSUnfit, Subject: u.What, Over: "NATS can serve this bridge again (" + u.What + ")", Text: u.Error()}
}

// noJetStream is the error of a server, an account or a domain that keeps no streams.
func (p *provisioner) noJetStream() error {
	if domain := p.publish.Options().Domain; domain != "" {
		return fmt.Errorf("%w; or no server that is reached has the JetStream domain %q: put nats.domain right", errNoJetStream, domain)
	}
	return errNoJetStream
}
