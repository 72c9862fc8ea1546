package view

import (
	"cmp"
	"time"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/view/fold"
)

// maxMinuteModels bounds the models of one block that are counted apart; further ones are
// counted as otherModels.
const maxMinuteModels = 200

// otherModels is the model under which the rarest are counted. No provider's model has the
// name.
const otherModels = "(others)"

type minuteKey struct {
	minute                int64
	source, model, status string
}

// lag sums the known times of one kind.
type lag struct {
	n   int64
	sum time.Duration
}

func (l *lag) add(d time.Duration) {
	if d >= 0 && d < maxLag {
		l.n, l.sum = l.n+1, l.sum+d
	}
}

// maxLag: a longer time is a provider's mistake.
const maxLag = 30 * 24 * time.Hour

type minuteCount struct {
	n                          int64
	queued, inference, webhook lag
}

// minutes counts the events of a block.
type minutes map[minuteKey]*minuteCount

// add counts an event of a provider that told something new.
func (c minutes) add(s *bridge.PredictionState, m *message, did fold.Folded) {
	if did.Known || did.Conflict || m.event.Kind() != bridge.KindPrediction {
		return
	}
	key := minuteKey{m.stored.Unix() / 60, m.event.Source, cmp.Or(m.event.Model, s.Model), m.event.Status}
	if c[key] == nil && len(c) >= maxMinuteModels {
		key.model = otherModels
	}
	n := c[key]
	if n == nil {
		n = &minuteCount{}
		c[key] = n
	}
	n.n++
	if !did.Ended || s.CompletedAt.IsZero() {
		return
	}
	if did.Inference > 0 {
		n.inference.add(did.Inference)
		if !s.CreatedAt.IsZero() {
			n.queued.add(s.CompletedAt.Sub(s.CreatedAt) - did.Inference)
		}
	}
	if s.Origin == bridge.OriginWebhook {
		n.webhook.add(s.ReceivedAt.Sub(s.CompletedAt))
	}
}

func (c minutes) write(to *conn) error {
	for key, n := range c {
		err := to.run(addMinute, key.minute, key.source, key.model, key.status, n.n,
			n.queued.n, int64(n.queued.sum), n.inference.n, int64(n.inference.sum), n.webhook.n, int64(n.webhook.sum))
		if err != nil {
			return err
		}
	}
	return nil
}
