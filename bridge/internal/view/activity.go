package view

import (
	"cmp"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/view/fold"
)

// span is a length of time by which is counted, in minutes, and how long its counts are kept.
type span struct {
	minutes int64
	keep    time.Duration
}

// spans are those by which everything is counted. Each holds the longest time that is asked by
// it, and as much before that.
var spans = []span{{1, 2 * 24 * time.Hour}, {60, 14 * 24 * time.Hour}, {24 * 60, 62 * 24 * time.Hour}}

type (
	activityKey struct {
		minute                int64 // since 1970
		source, model, status string
	}
	tallyKey struct {
		minute       int64
		source, what string
	}
	failureKey struct {
		minute               int64
		source, model, error string
	}
)

// What tallies count. Ends are counted by their origin too, see tallyEnd.
const (
	tallyAccepted = "accepted" // an event of a webhook was stored
	tallyWebhook  = "webhook"  // a webhook told of an end
	tallyPoll     = "poll"     // a poll found an end
	tallyOther    = "other"    // an end became known in another way
	tallyLost     = "lost"     // a prediction was given up
)

// counted is what a block tells of the predictions of a model.
type counted struct {
	n    int64
	lags *lags // nil: none
}

// failed is the predictions of a block that failed with an error.
type failed struct {
	failureKey

	n    int64
	last uint64 // the sequence of the last one's event
}

// activities counts the events of a block by the minute.
type activities struct {
	models   map[activityKey]*counted
	tallies  map[tallyKey]int64
	failures []*failed // in the order in which they began, which decides which are too many
	byError  map[failureKey]*failed
	// normalised remembers what the errors of the block become: most are the same.
	normalised map[string]string
}

func newActivities() activities {
	return activities{map[activityKey]*counted{}, map[tallyKey]int64{}, nil, map[failureKey]*failed{}, map[string]string{}}
}

// add counts an event of the stream. closed says that the prediction had ended or was given up
// before.
func (c *activities) add(s *bridge.PredictionState, m *message, did fold.Folded, closed bool) {
	minute, e := m.stored.Unix()/60, m.event
	tally := func(what string) { c.tallies[tallyKey{minute, e.Source, what}]++ }
	if e.Origin == bridge.OriginWebhook {
		tally(tallyAccepted)
	}
	if e.Kind() == bridge.KindLost && !closed && s.Lost != nil {
		tally(tallyLost)
	}
	if did.Known || did.Conflict || e.Kind() != bridge.KindPrediction {
		return
	}
	key := activityKey{minute, e.Source, cmp.Or(e.Model, s.Model), e.Status}
	n := c.models[key]
	if n == nil {
		n = &counted{}
		c.models[key] = n
	}
	n.n++
	if !did.Ended {
		return
	}
	tally(tallyEnd(s.Origin))
	if s.Status == bridge.StatusFailed {
		c.fail(failureKey{minute, e.Source, key.model, c.normalise(s.Error)}, m.seq)
	}
	n.time(s, did)
}

func tallyEnd(origin string) string {
	switch origin {
	case bridge.OriginWebhook:
		return tallyWebhook
	case bridge.OriginPoll:
		return tallyPoll
	}
	return tallyOther
}

func (c *activities) normalise(text string) string {
	known, ok := c.normalised[text]
	if !ok {
		known = normalise(text)
		c.normalised[text] = known
	}
	return known
}

func (c *activities) fail(key failureKey, seq uint64) {
	f := c.byError[key]
	if f == nil {
		f = &failed{failureKey: key}
		c.byError[key], c.failures = f, append(c.failures, f)
	}
	f.n, f.last = f.n+1, seq
}

// time counts the known times of a prediction that ended.
func (n *counted) time(s *bridge.PredictionState, did fold.Folded) {
	if s.CompletedAt.IsZero() {
		return
	}
	if n.lags == nil {
		n.lags = &lags{}
	}
	if did.Inference > 0 {
		n.lags.add(inference, did.Inference)
		if !s.CreatedAt.IsZero() {
			n.lags.add(queued, s.CompletedAt.Sub(s.CreatedAt)-did.Inference)
		}
	}
	if s.Origin == bridge.OriginWebhook {
		n.lags.add(webhook, s.ReceivedAt.Sub(s.CompletedAt))
	}
}

func (c *activities) write(to *conn) error {
	for _, span := range spans {
		start := func(minute int64) int64 { return floor(minute, span.minutes) }
		for key, n := range c.models {
			if err := n.write(to, span.minutes, start(key.minute), key.source, key.model, key.status); err != nil {
				return err
			}
		}
		for key, n := range c.tallies {
			if err := to.run(addTally, span.minutes, start(key.minute), key.source, key.what, n); err != nil {
				return err
			}
		}
		for _, f := range c.failures {
			if err := f.write(to, span.minutes, start(f.minute)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (n *counted) write(to *conn, key ...any) error {
	var raw any
	if n.lags != nil {
		all := *n.lags
		err := to.query(lagsOfActivity, func(s *sqlite3.Stmt) error {
			if s.ColumnType(0) == sqlite3.NULL {
				return nil
			}
			return all.addEncoded(s.ColumnRawBlob(0))
		}, key...)
		if err != nil {
			return err
		}
		raw = all.encode()
	}
	return to.run(addActivity, append(key, n.n, raw)...)
}

// maxErrors bounds the errors of a model that are told apart within a span: a provider may
// invent new ones without end. The others count as one.
const maxErrors = 32

func (f *failed) write(to *conn, span, start int64) error {
	text := f.error
	known, err := to.has(hasFailure, span, start, f.source, f.model, text)
	if err == nil && !known {
		var full bool
		if full, err = to.has(hasFailures, span, start, f.source, f.model, maxErrors-1); full {
			text = string(anything)
		}
	}
	if err != nil {
		return err
	}
	return to.run(addFailure, span, start, f.source, f.model, text, f.n, f.last)
}

// floor rounds down to a multiple of step, also what lies before 1970.
func floor(at, step int64) int64 { return at - ((at%step)+step)%step }
