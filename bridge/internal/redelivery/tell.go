package redelivery

import (
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
)

// tell tells of an attempt of a program that does not tell of its attempts by itself. Telling is
// best effort. How long the attempt took is not known, and of the program's acknowledgements
// nothing is: only waits and dead letters pass here.
func tell(js jetstream.JetStream, names bridge.Names, consumer string, ev *bridge.Event, a bridge.Attempt, log *zap.Logger) {
	if bridge.CheckName("consumer", consumer) != nil { // the durable of another tool
		return
	}
	a.Event, a.Source, a.Prediction, a.At = ev.ID, ev.Source, ev.PredictionID, time.Now().UTC()
	block, err := bridge.EncodeAttempts([]bridge.Attempt{a})
	if err == nil {
		err = js.Conn().Publish(names.AttemptsTold(consumer), block)
	}
	if err != nil {
		log.Debug("an attempt is not told", zap.String("consumer", consumer), zap.String("event", ev.ID), zap.Error(err))
	}
}
