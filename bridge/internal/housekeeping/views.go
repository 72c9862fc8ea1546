package housekeeping

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/streamread"
)

// maxViews bounds the views that hold events back. Each process with one registers it.
const maxViews = 1000

// listViews returns for each view of the stream the first sequence that it may still need.
func (r *round) listViews(ctx context.Context) ([]uint64, error) {
	names := r.cfg.Names
	stream, err := streamread.Open(ctx, r.js, names.PollsStream())
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("looking up the positions of views: %w", err)
	}
	info, err := stream.Info(ctx, jetstream.WithSubjectFilter(names.PollsSubject(bridge.KeyView+".*")))
	if err != nil {
		return nil, fmt.Errorf("looking up the positions of views: %w", err)
	}
	var next []uint64
	for subject := range info.State.Subjects {
		if len(next) == maxViews {
			break
		}
		m, err := stream.GetLastMsgForSubject(ctx, subject)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			continue // its time is over
		}
		if err != nil {
			return nil, fmt.Errorf("reading the position of a view: %w", err)
		}
		var at bridge.ViewPosition
		if json.Unmarshal(m.Data, &at) == nil && at.Created.Equal(r.info.Created) && at.Folded <= r.info.State.LastSeq {
			next = append(next, at.Folded+1)
		}
	}
	return next, nil
}
