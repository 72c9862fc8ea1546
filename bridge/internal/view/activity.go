package view

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/view/fold"
)

type activityKey struct {
	minute                int64 // since 1970
	source, model, status string
}

// Lag is the sum of N times.
type Lag struct {
	N   int64         `json:"n"`
	Sum time.Duration `json:"sum"`
}

func (l *Lag) add(d time.Duration) {
	if d >= 0 && d < maxLag {
		l.N, l.Sum = l.N+1, l.Sum+d
	}
}

// maxLag: a longer time is a provider's mistake.
const maxLag = 30 * 24 * time.Hour

// Activity is what happened to the predictions of a model within a span of time: how many
// got the status, and the known times of those that ended.
type Activity struct {
	Start  time.Time `json:"start"`
	Source string    `json:"source"`
	Model  string    `json:"model"`
	Status string    `json:"status"`
	N      int64     `json:"n"`
	// Queued is from the creation until the model ran, Inference as long as it ran, Webhook
	// from the end until the webhook came.
	Queued    Lag `json:"queued,omitzero"`
	Inference Lag `json:"inference,omitzero"`
	Webhook   Lag `json:"webhook,omitzero"`
}

// activities counts the events of a block by the minute.
type activities map[activityKey]*Activity

// add counts an event of a provider that told something new.
func (c activities) add(s *bridge.PredictionState, m *message, did fold.Folded) {
	if did.Known || did.Conflict || m.event.Kind() != bridge.KindPrediction {
		return
	}
	key := activityKey{m.stored.Unix() / 60, m.event.Source, cmp.Or(m.event.Model, s.Model), m.event.Status}
	n := c[key]
	if n == nil {
		n = &Activity{}
		c[key] = n
	}
	n.N++
	if !did.Ended || s.CompletedAt.IsZero() {
		return
	}
	if did.Inference > 0 {
		n.Inference.add(did.Inference)
		if !s.CreatedAt.IsZero() {
			n.Queued.add(s.CompletedAt.Sub(s.CreatedAt) - did.Inference)
		}
	}
	if s.Origin == bridge.OriginWebhook {
		n.Webhook.add(s.ReceivedAt.Sub(s.CompletedAt))
	}
}

// spans are how long the spans are that are counted, in minutes.
var spans = []int64{1, 60, 24 * 60}

func (c activities) write(to *conn) error {
	for key, n := range c {
		for _, span := range spans {
			err := to.run(addActivity, span, key.minute-key.minute%span, key.source, key.model, key.status, n.N,
				n.Queued.N, int64(n.Queued.Sum), n.Inference.N, int64(n.Inference.Sum), n.Webhook.N, int64(n.Webhook.Sum))
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// ActivityQuery selects counts. Every set field must match.
type ActivityQuery struct {
	// From and Until bound the beginnings of the spans: from From on, before Until.
	From, Until time.Time
	// Step is a minute, an hour or a day.
	Step time.Duration
	// Model is a glob as in [bridge.Filter].
	Source, Model, Status string
}

// maxActivityRows bounds what one query reads.
const maxActivityRows = 50_000

// ErrTooMuch is wrapped when a query would read more than it may.
var ErrTooMuch = errors.New("too much for one query")

// Activity returns the counts in the order of time. Minutes, hours and days are those of UTC.
// The error wraps [ErrTooMuch] when there are more than 50,000 before they are filtered: ask
// for less time or a larger step. It wraps [ErrUnavailable] while the view cannot be read.
func (v *View) Activity(ctx context.Context, q ActivityQuery) (out []Activity, err error) {
	span := int64(q.Step / time.Minute)
	if !slices.Contains(spans, span) || q.Step%time.Minute != 0 {
		return nil, fmt.Errorf("counts by %s: use a minute, an hour or a day", q.Step)
	}
	rows := 0
	err = v.read(ctx, func(c *conn) error {
		return c.query(selectActivity, func(s *sqlite3.Stmt) error {
			rows++
			a := Activity{Start: time.Unix(s.ColumnInt64(0)*60, 0).UTC(), Source: s.ColumnText(1), Model: s.ColumnText(2), Status: s.ColumnText(3), N: s.ColumnInt64(4)}
			for i, lag := range []*Lag{&a.Queued, &a.Inference, &a.Webhook} {
				*lag = Lag{s.ColumnInt64(5 + 2*i), time.Duration(s.ColumnInt64(6 + 2*i))}
			}
			if (q.Source == "" || q.Source == a.Source) && (q.Status == "" || q.Status == a.Status) && (q.Model == "" || matches(q.Model, a.Model)) {
				out = append(out, a)
			}
			return nil
		}, span, minuteOf(q.From), minuteOf(q.Until), maxActivityRows+1)
	})
	if err == nil && rows > maxActivityRows {
		return nil, fmt.Errorf("counts from %s until %s by %s: %w", q.From, q.Until, q.Step, ErrTooMuch)
	}
	return out, err
}

// minuteOf is the first whole minute since 1970 that does not begin before t.
func minuteOf(t time.Time) int64 {
	minute := t.Unix() / 60
	if time.Unix(minute*60, 0).Before(t) {
		minute++
	}
	return minute
}
