package quarantine

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/stream"
)

// Quarantine keeps authentic deliveries that could not become an event, until
// somebody sees to them. It is safe for concurrent use.
type Quarantine struct {
	store  stream.Storer
	names  bridge.Names
	alarms bridge.Alarmer
	kept   *prometheus.CounterVec
}

// NewQuarantine returns a quarantine that is stored by store, which may be the
// one of events: what is kept is answered 200 and deserves the same.
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

// Keep returns once the delivery is durable, or was already, and only then
// without an error: one of those of [Storer]. The same delivery has the same
// message id, so a sender's retry is kept once.
func (q *Quarantine) Keep(ctx context.Context, w *bridge.KeptDelivery) (bridge.Receipt, error) {
	m := keptMessage(q.names.Quarantine(w.Source, w.Cause), w)
	receipt, err := q.store.Store(ctx, q.names.QuarantineStream(), m)
	if err != nil {
		if errors.Is(err, bridge.ErrFull) {
			q.alarms.Raise(bridge.Alarm{
				Kind: bridge.AlarmQuarantineFull,
				Text: "the quarantine is full, so unusable deliveries are refused with 503 and their sender will give them up: look at it with hookspan quarantine list, then reverify or drop what is there",
			})
		}
		return bridge.Receipt{}, fmt.Errorf("keeping an unusable delivery: %w", err)
	}
	if receipt.Result != bridge.Duplicate {
		q.kept.WithLabelValues(w.Source, w.Cause).Inc()
	}
	receipt.Result = bridge.Quarantined
	return receipt, nil
}

// keptMessage is the delivery as it is stored.
func keptMessage(subject string, w *bridge.KeptDelivery) *nats.Msg {
	header := nats.Header(w.Message())
	header[bridge.HeaderMsgID] = []string{w.MsgID()}
	return &nats.Msg{Subject: subject, Header: header, Data: w.Body}
}
