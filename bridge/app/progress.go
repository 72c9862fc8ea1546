package app

import (
	"encoding/json"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/printable"
)

// progressTeller passes on deliveries that tell of progress only, to whoever listens.
type progressTeller struct {
	conn  *nats.Conn
	names bridge.Names
	log   *zap.Logger
}

func (a *App) progress() progressTeller {
	return progressTeller{a.store.publish.Conn(), a.cfg.Names(), a.log.Named("progress")}
}

// Tell implements [ingress.Progress].
func (p progressTeller) Tell(e *bridge.Event) {
	told := bridge.Progress{Status: printable.Truncate(e.RawStatus, bridge.MaxStatus), At: e.ReceivedAt.UTC()}
	data, err := json.Marshal(told)
	if err == nil {
		err = p.conn.Publish(p.names.Progress(e.Source, e.PredictionID), data)
	}
	if err != nil {
		p.log.Debug("the progress of a prediction was not told", zap.Error(err))
	}
}
