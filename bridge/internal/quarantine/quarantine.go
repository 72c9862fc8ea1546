package quarantine

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/lasting"
	"github.com/hookspan/hookspan/bridge/internal/stream"
)

// Quarantine keeps authentic deliveries that could not become an event, until an operator acts
// on them. It is safe for concurrent use.
type Quarantine struct {
	store  stream.Storer
	names  bridge.Names
	alarms bridge.Alarmer
	kept   *prometheus.CounterVec
}

// NewQuarantine returns a quarantine that writes to store. A sender is answered 200 for a
// quarantined delivery, so store must be as durable as that of events.
func NewQuarantine(store stream.Storer, names bridge.Names, alarms bridge.Alarmer) *Quarantine {
	return &Quarantine{
		store: store, names: names, alarms: alarms,
		kept: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "hookspan_quarantined_total",
			Help: "Authentic deliveries that could not become an event and were kept, without repetitions.",
		}, []string{"source", "cause"}),
	}
}

// Collectors are the metrics.
func (q *Quarantine) Collectors() []prometheus.Collector { return []prometheus.Collector{q.kept} }

// Keep returns nil once the delivery is durable, or was already, or with the result
// [bridge.Erasure], when store keeps nothing of it; its errors are those of
// [stream.Storer]. The message id depends on the delivery alone, so that a sender's retry is
// kept once.
func (q *Quarantine) Keep(ctx context.Context, w *bridge.KeptDelivery) (bridge.Receipt, error) {
	m := keptMessage(q.names.Quarantine(w.Source, w.Cause), w)
	receipt, err := q.store.Store(ctx, q.names.QuarantineStream(), m)
	if err != nil {
		if errors.Is(err, bridge.ErrFull) {
			q.alarms.Raise(lasting.Again(bridge.Alarm{
				Kind: bridge.AlarmQuarantineFull,
				Text: "the quarantine is full, so unusable deliveries are refused with 503 and their sender will give them up: look at it with hookspan quarantine list, then reverify or drop what is there",
			}, "no unusable delivery was refused"))
		}
		return bridge.Receipt{}, fmt.Errorf("keeping an unusable delivery: %w", err)
	}
	if receipt.Result == bridge.Erasure {
		return receipt, nil
	}
	if receipt.Result != bridge.Duplicate {
		q.kept.WithLabelValues(w.Source, w.Cause).Inc()
	}
	receipt.Result = bridge.Quarantined
	return receipt, nil
}

func keptMessage(subject string, w *bridge.KeptDelivery) *nats.Msg {
	header := nats.Header(w.Message())
	header[bridge.HeaderMsgID] = []string{w.MsgID()}
	return &nats.Msg{Subject: subject, Header: header, Data: w.Body}
}

// Unconfirmed keeps deliveries whose provider has to be asked what they say. It is safe for
// concurrent use.
type Unconfirmed struct {
	store stream.Storer
	names bridge.Names
}

// NewUnconfirmed returns what writes to store, which must be as durable as that of events.
func NewUnconfirmed(store stream.Storer, names bridge.Names) *Unconfirmed {
	return &Unconfirmed{store: store, names: names}
}

// Keep is as [Quarantine.Keep], with the result [bridge.Unconfirmed].
func (u *Unconfirmed) Keep(ctx context.Context, w *bridge.KeptDelivery, prediction string) (bridge.Receipt, error) {
	receipt, err := u.store.Store(ctx, u.names.UnconfirmedStream(), keptMessage(u.names.Unconfirmed(w.Source, prediction), w))
	if err != nil {
		return bridge.Receipt{}, fmt.Errorf("keeping an unconfirmed delivery: %w", err)
	}
	if receipt.Result != bridge.Erasure {
		receipt.Result = bridge.Unconfirmed
	}
	return receipt, nil
}
