package attemptrecord

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/streamread"
)

// Lookup reads the records of all consumers. It is safe for concurrent use.
type Lookup struct {
	js     streamread.Streams
	names  bridge.Names
	stream streamread.Handle
}

// NewLookup returns a lookup; names are those of the bridge.
func NewLookup(js streamread.Streams, names bridge.Names) *Lookup {
	return &Lookup{js: js, names: names}
}

// Handled reports whether the consumer is known to have handled the event: it acts once and
// finished the event, or finished it after a dead letter. Other consumers keep no record of
// handled events, so false means unknown.
func (l *Lookup) Handled(ctx context.Context, consumer string, ev *bridge.Event) (bool, error) {
	stream, err := l.stream.Open(ctx, l.js, l.names.AttemptsStream())
	if err != nil {
		return false, err
	}
	for _, key := range []string{EventKey(ev.ID), OnceKey(ev)} {
		m, err := stream.GetLastMsgForSubject(ctx, l.names.AttemptsSubject(l.names.AttemptsPrefix(consumer)+key))
		if errors.Is(err, jetstream.ErrMsgNotFound) || err == nil && len(m.Data) == 0 { // none, or the marker of a removed one
			continue
		}
		if err != nil {
			return false, fmt.Errorf("reading the record of earlier attempts: %w", err)
		}
		var r Record
		if err := json.Unmarshal(m.Data, &r); err != nil {
			return false, fmt.Errorf("reading the record of earlier attempts: %w", err)
		}
		if r.Event == ev.ID && r.State == Done {
			return true, nil
		}
	}
	return false, nil
}
