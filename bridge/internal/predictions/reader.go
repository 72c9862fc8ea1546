package predictions

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/streamread"
)

// Reader reads the prediction store, in any process. It is safe for concurrent use.
type Reader struct {
	js    jetstream.JetStream
	names bridge.Names

	stream streamread.Handle
}

// NewReader returns a reader of the prediction store in js.
func NewReader(js jetstream.JetStream, names bridge.Names) *Reader {
	return &Reader{js: js, names: names}
}

// open returns the prediction store's stream without a request to the server.
func (r *Reader) open(ctx context.Context) (jetstream.Stream, error) {
	return r.stream.Open(ctx, r.js, r.names.PredictionsStream())
}

// Get returns the state of a prediction, without the events that were not folded yet. The
// error wraps [bridge.ErrNotFound] when the store does not know the prediction, or no
// longer.
func (r *Reader) Get(ctx context.Context, source, id string) (*bridge.PredictionState, error) {
	raw, _, err := r.get(ctx, bridge.PredictionKey(bridge.KeyEntry, source, id))
	if err != nil {
		return nil, fmt.Errorf("reading prediction %q of %s: %w", id, source, err)
	}
	return decodeState(raw)
}

// Selection filters and orders a list of predictions.
type Selection struct {
	// Source is one source; empty is all.
	Source string
	// After and Before bound the places in the prediction store, which follow the last
	// changes: entries up to After are left out, and those from Before on unless it is
	// zero.
	After, Before uint64
	// Newest lists the last change first.
	Newest bool
}

// Walk calls visit for each selected prediction with its place, the oldest change first
// unless Newest is set, until visit returns an error, which Walk returns. It is no
// snapshot: a prediction that changes meanwhile can come twice or not at all.
func (r *Reader) Walk(ctx context.Context, sel Selection, visit func(place uint64, s *bridge.PredictionState) error) error {
	stream, err := streamread.Open(ctx, r.js, r.names.PredictionsStream())
	if err != nil {
		return err
	}
	if sel.After >= math.MaxInt64 {
		return nil
	}
	key := bridge.KeyEntry + ".>"
	if sel.Source != "" {
		key = bridge.KeyEntry + "." + sel.Source + ".*"
	}
	return streamread.Walk(ctx, stream, streamread.Span{Subject: r.names.PredictionsSubject(key), After: sel.After, Before: sel.Before, Newest: sel.Newest}, func(m *jetstream.RawStreamMsg) error {
		s, err := decodeState(m.Data)
		if err != nil {
			return nil //nolint:nilerr // another program wrote it; go on
		}
		return visit(m.Sequence, s)
	})
}

func decodeState(raw []byte) (*bridge.PredictionState, error) {
	var s bridge.PredictionState
	if err := json.Unmarshal(raw, &s); err != nil {
		return nil, fmt.Errorf("reading an entry of the prediction store: %w", err)
	}
	return &s, nil
}

// get returns the value of a key and its revision. The error wraps [bridge.ErrNotFound]
// when there is none.
func (r *Reader) get(ctx context.Context, key string) (value []byte, revision uint64, err error) {
	stream, err := r.open(ctx)
	if err != nil {
		return nil, 0, err
	}
	m, err := stream.GetLastMsgForSubject(ctx, r.names.PredictionsSubject(key))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		err = bridge.ErrNotFound
	}
	if err != nil {
		return nil, 0, err
	}
	return m.Data, m.Sequence, nil
}
