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
	"fmt"
	"time"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/source"
	"github.com/hookspan/hookspan/consumers"
)

// Prediction is what an event is made of. The zero value is a completed prediction
// without outputs.
type Prediction struct {
	// ID defaults to pred_1.
	ID string
	// Model defaults to get3w/flux-dev.
	Model string
	// Status is as the provider writes it, default failed when there is an Error,
	// else completed.
	Status string
	// Outputs are addresses, or anything that JSON can say.
	Outputs []any
	Error   string
	// Input is what the prediction was submitted with; nil is left out.
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

// Event returns the event that a bridge makes of the webhook of p, whose body is
// what Get3W posts: one JSON object, with the fields that p has. It is not stored,
// so it has no subject and no sequence, and it has no signature. Its id is that of a
// real one: the same for the same id, status, outputs and error. Event panics when a
// bridge would quarantine the webhook, and when a value cannot be JSON.
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
	from, err := source.New(source.Config{Name: p.Source, Kind: "get3w"})
	if err != nil {
		return nil, err
	}
	return from.Read(source.Delivery{
		Body: body, ContentType: "application/json", Query: p.Query,
		ReceivedAt: p.ReceivedAt, Origin: bridge.OriginWebhook, AnyAge: true,
	})
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
