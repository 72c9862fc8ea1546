// Package consumertest is for tests of programs that act on events.
//
// [Handle] runs a handler on one event without a server and says what a consumer
// would do next:
//
//	ev := consumertest.Event(consumertest.Prediction{Status: "failed", Error: "no credit"})
//	tried := consumertest.Handle(ctx, handler, ev)
//	if tried.Action != consumers.ActionDone { … }
//
// [Start] runs a NATS server with the streams of a bridge, for tests of a whole
// consumer.
package consumertest

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/consumers"
	"github.com/hookspan/hookspan/internal/mediatype"
)

// Prediction describes the prediction of an event. The zero value is a completed prediction
// without outputs.
type Prediction struct {
	// ID defaults to pred_1.
	ID string
	// Model defaults to get3w/flux-dev.
	Model string
	// Status is as the provider writes it, default failed when there is an Error,
	// else completed.
	Status string
	// Outputs are addresses, or any values that JSON can represent.
	Outputs []any
	Error   string
	// Input is the input of the prediction; nil is left out.
	Input any
	// CreatedAt and CompletedAt are left out when they are zero.
	CreatedAt, CompletedAt time.Time
	// Inference is how long the model ran, in whole milliseconds; zero is left out.
	Inference time.Duration

	// Source is the name of the configured sender, default get3w.
	Source string
	// ReceivedAt is when the webhook arrived, default now.
	ReceivedAt time.Time
	// Query holds the parameters of the webhook URL that the source allows.
	Query map[string]string
}

// Event returns the event that a bridge makes of the webhook of p, whose body is what Get3W
// posts: one JSON object, with the fields that p has. The event is not stored, so it has no
// subject and no sequence, and it has no signature. Its id is made as a bridge makes it: the
// same for the same id, status, outputs and error. Event panics when a bridge would quarantine
// the webhook, and when a value cannot be JSON.
func Event(p Prediction) *bridge.Event {
	p.Source, p.ID, p.Model = cmp.Or(p.Source, "get3w"), cmp.Or(p.ID, "pred_1"), cmp.Or(p.Model, "get3w/flux-dev")
	if p.Status == "" {
		p.Status = bridge.StatusCompleted
		if p.Error != "" {
			p.Status = bridge.StatusFailed
		}
	}
	if p.ReceivedAt.IsZero() {
		p.ReceivedAt = time.Now()
	}
	ev, err := p.event()
	if err != nil {
		panic(fmt.Sprintf("consumertest: %v", err))
	}
	return ev
}

func (p Prediction) event() (*bridge.Event, error) {
	body, err := p.body()
	if err != nil {
		return nil, fmt.Errorf("making the body of a webhook: %w", err)
	}
	if err := p.check(); err != nil {
		return nil, err
	}
	status := bridge.EncodeToken(p.Status)
	meaning := body
	if bridge.Terminal(status) {
		if meaning, err = p.meaning(status); err != nil {
			return nil, err
		}
	}
	at := p.CompletedAt
	if at.IsZero() {
		at = p.ReceivedAt
	}
	return &bridge.Event{
		ID: bridge.NewEventID(p.ID, status, meaning), Source: p.Source, Type: "com.get3w.prediction." + status + ".v1",
		PredictionID: p.ID, Model: p.Model, Status: status, RawStatus: p.Status, Origin: bridge.OriginWebhook,
		Time: at, ReceivedAt: p.ReceivedAt, ContentType: mediatype.JSON, Query: p.Query, Body: body,
	}, nil
}

// check returns an error when a bridge would make no event of p.
func (p Prediction) check() error {
	switch {
	case len(p.Status) > bridge.MaxStatus:
		return fmt.Errorf("the status has more than %d bytes", bridge.MaxStatus)
	case bridge.EncodedLen(p.Model) > bridge.MaxModel:
		return fmt.Errorf("the model has more than %d bytes once encoded", bridge.MaxModel)
	}
	return errors.Join(bridge.CheckName("source", p.Source), bridge.CheckPredictionID(p.ID))
}

// meaning is the canonical JSON (RFC 8785) of status, outputs and error, from which the bridge
// makes the id of a terminal event.
func (p Prediction) meaning(status string) ([]byte, error) {
	told := []any{status, nil, nil}
	if len(p.Outputs) > 0 {
		outputs := slices.Clone(p.Outputs)
		for i, output := range outputs {
			if address, ok := output.(string); ok && bridge.IsURL(address) {
				outputs[i], _, _ = strings.Cut(address, "?")
			}
		}
		told[1] = outputs
	}
	if p.Error != "" {
		told[2] = p.Error
	}
	text, err := json.Marshal(told)
	if err != nil {
		return nil, fmt.Errorf("making the id of an event: %w", err)
	}
	canonical := jsontext.Value(text)
	err = canonical.Canonicalize()
	return canonical, err
}

func (p Prediction) body() ([]byte, error) {
	fields := struct {
		ID          string           `json:"id"`
		Model       string           `json:"model"`
		Status      string           `json:"status"`
		Input       any              `json:"input,omitempty"`
		Outputs     []any            `json:"outputs,omitempty"`
		Error       string           `json:"error,omitempty"`
		Timings     map[string]int64 `json:"timings,omitempty"`
		CreatedAt   time.Time        `json:"created_at,omitzero"`
		CompletedAt time.Time        `json:"completed_at,omitzero"`
	}{
		ID: p.ID, Model: p.Model, Status: p.Status, Input: p.Input, Outputs: p.Outputs, Error: p.Error,
		CreatedAt: p.CreatedAt.UTC(), CompletedAt: p.CompletedAt.UTC(),
	}
	if p.Inference > 0 {
		fields.Timings = map[string]int64{"inference": p.Inference.Milliseconds()}
	}
	var body bytes.Buffer
	enc := json.NewEncoder(&body)
	enc.SetEscapeHTML(false) // addresses stay readable
	err := enc.Encode(fields)
	return bytes.TrimSuffix(body.Bytes(), []byte("\n")), err
}

// Handle makes a first attempt on ev with the default settings of a consumer, and
// returns what a consumer would do next. See [consumers.Try] for later attempts,
// other settings, and a log with the stack of a panic.
func Handle(ctx context.Context, handler consumers.Handler, ev *bridge.Event) consumers.Tried {
	return consumers.Try(ctx, handler, ev, consumers.Config{}, consumers.Attempt{})
}
