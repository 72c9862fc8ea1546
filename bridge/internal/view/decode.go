package view

import (
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/view/fold"
)

// message is a message of a stream, read as what its stream holds.
type message struct {
	seq    uint64
	stored time.Time

	event *bridge.Event // of the stream of events
	at    fold.At
	row   any // of the other streams
}

// decodeEvent returns an error for a message that is no event.
func decodeEvent(names bridge.Names, m jetstream.Msg, to *message) error {
	e, err := bridge.DecodeEvent(bridge.Header(m.Headers()), m.Data())
	if err == nil {
		err = bridge.CheckName("source", e.Source)
	}
	if err == nil {
		err = checkEvent(e)
	}
	if err != nil {
		return err
	}
	if e.Kind() == bridge.KindErased {
		return nil // it names no prediction
	}
	to.event = e
	to.at = fold.At{Sequence: to.seq, StoredAt: to.stored, Again: names.IsAgain(m.Subject())}
	if again, err := bridge.DecodeAgain(bridge.Header(m.Headers())); err == nil && to.at.Again {
		to.at.Original = again.Sequence
	}
	return nil
}

// maxEventText bounds the id, the status and the origin of an event, in bytes. A bridge's
// events stay far below it.
const maxEventText = 1 << 10

// checkEvent returns an error for an event that no bridge publishes.
func checkEvent(e *bridge.Event) error {
	for _, text := range []string{e.ID, e.Status, e.RawStatus, e.Origin, e.PredictionID, e.Model} {
		if !utf8.ValidString(text) { // the state is kept as JSON, which would hold another text
			return errors.New("its id, prediction, status, origin or model is not UTF-8")
		}
	}
	for _, text := range []string{e.ID, e.Status, e.RawStatus, e.Origin} {
		if len(text) > maxEventText {
			return fmt.Errorf("its id, status or origin has %d bytes, at most %d are possible", len(text), maxEventText)
		}
	}
	if n := len(e.PredictionID); n > bridge.MaxPredictionID {
		return fmt.Errorf("its prediction id has %d bytes, at most %d are possible", n, bridge.MaxPredictionID)
	}
	if n := bridge.EncodedLen(e.Model); n > bridge.MaxModel {
		return fmt.Errorf("its model has %d bytes when encoded, at most %d are possible", n, bridge.MaxModel)
	}
	if year := e.ReceivedAt.UTC().Year(); year < 1 || year > 9999 {
		return fmt.Errorf("it was received in the year %d", year)
	}
	return nil
}
