package archive

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/hookspan/hookspan/bridge"
)

// announce publishes the event that tells of a durable manifest. announce runs before the event
// counts as handled, so a crash in between repeats it; the id is made of what is stored, so the
// stream knows the repetition.
func (t *attempt) announce(ctx context.Context, m *manifest) error {
	if t.publish == nil {
		return nil
	}
	ev, err := t.archivedEvent(m, false)
	if err == nil {
		err = t.publish(ctx, ev)
	}
	if errors.Is(err, bridge.ErrTooLarge) {
		if ev, err = t.archivedEvent(m, true); err == nil {
			err = t.publish(ctx, ev)
		}
	}
	if err != nil {
		return fmt.Errorf("publishing what is archived: %w", err)
	}
	return nil
}

func (t *attempt) archivedEvent(m *manifest, abridged bool) (*bridge.Event, error) {
	a := bridge.Archived{
		Prediction: m.Prediction, Source: m.Source, Model: m.Model, Event: m.Event,
		ArchivedAt: m.ArchivedAt, Abridged: abridged, Manifest: t.files.address(t.key(manifestName)),
		Outputs: []bridge.ArchivedOutput{},
	}
	sums := make([]string, len(m.Outputs))
	for i, e := range m.Outputs {
		if e.Error == "" {
			sums[i] = e.SHA256
		}
		switch {
		case abridged:
		case e.Error != "":
			a.Missing = append(a.Missing, bridge.MissingOutput{N: e.N, SourceURL: withoutQuery(e.URL), Error: e.Error})
		default:
			a.Outputs = append(a.Outputs, bridge.ArchivedOutput{
				N: e.N, URL: t.files.address(e.Key), Bytes: e.Bytes, ContentType: e.ContentType, ContentEncoding: e.Coding, SHA256: e.SHA256, SourceURL: withoutQuery(e.URL),
			})
		}
	}
	body, err := json.Marshal(a)
	if err != nil {
		return nil, err
	}
	// The time of storing does not matter, the place does: two processes that stored the same
	// tell the same fact, two archives do not.
	meaning, err := json.Marshal([]any{m.Event, a.Manifest, sums})
	if err != nil {
		return nil, err
	}
	return &bridge.Event{
		ID:           bridge.NewEventID(m.Prediction, "archived", meaning),
		Source:       m.Source,
		Type:         bridge.TypeArchived,
		PredictionID: m.Prediction,
		Model:        m.Model,
		Status:       t.ev.Status,
		RawStatus:    t.ev.RawStatus,
		Origin:       bridge.OriginArchive,
		Time:         m.ArchivedAt,
		ReceivedAt:   m.ArchivedAt,
		ContentType:  "application/json",
		TraceParent:  t.ev.TraceParent,
		Query:        t.ev.Query,
		Body:         body,
	}, nil
}
