package view

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/ncruces/go-sqlite3"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/printable"
)

// DeadLetter is a dead letter without its body and its history, which the stream has.
type DeadLetter struct {
	// Sequence is that in the stream of dead letters; At is the sequence in the stream of
	// events where the consumer read the event or its copy.
	Sequence uint64           `json:"seq"`
	Consumer string           `json:"consumer"`
	Cause    bridge.DeadCause `json:"cause"`
	Fault    bridge.Fault     `json:"fault,omitempty"`
	Error    string           `json:"error,omitempty"`
	Attempts int              `json:"attempts"`
	Redrives int              `json:"redrives,omitempty"`
	At       uint64           `json:"at"`
	Stored   time.Time        `json:"stored"`
	// The event; empty for a message that is no event, and for events that expired.
	Source     string `json:"source,omitempty"`
	Prediction string `json:"prediction,omitempty"`
	Event      string `json:"event,omitempty"`
	Model      string `json:"model,omitempty"`
	Status     string `json:"status,omitempty"`
}

func decodeDead(names bridge.Names, m jetstream.Msg, to *message) error {
	h := bridge.Header(m.Headers())
	d, err := bridge.DecodeDeadLetter(h)
	if err != nil {
		return err
	}
	row := DeadLetter{
		Sequence: to.seq, Consumer: cmp.Or(d.Consumer, names.DeadConsumer(m.Subject())), Cause: d.Cause, Fault: d.Fault,
		Error: printable.Truncate(d.Error, maxText), Attempts: d.Attempts, Redrives: d.Redrives, At: d.Sequence, Stored: to.stored,
	}
	if n := len(row.Consumer) + len(row.Cause) + len(row.Fault); n > maxText {
		return fmt.Errorf("its consumer, cause and fault have %d bytes, at most %d are possible", n, maxText)
	}
	if e, err := bridge.DecodeEvent(h, nil); err == nil && checkEvent(e) == nil {
		row.Source, row.Prediction, row.Event, row.Model, row.Status = e.Source, e.PredictionID, e.ID, e.Model, e.Status
	}
	to.row = row
	return nil
}

// maxText bounds texts of messages that anybody may have written, in bytes.
const maxText = 1 << 10

func foldDead(c *conn, st *stream, b block) (func(), error) {
	for _, m := range b.msgs {
		d, ok := m.row.(DeadLetter)
		if !ok || d.Prediction != "" && st.cfg.Erased(st.name, d.Sequence, d.Source, d.Prediction) {
			continue
		}
		err := c.run(insertDead, d.Sequence, d.Consumer, string(d.Cause), string(d.Fault), d.Error, d.Attempts, d.Redrives, d.At, d.Stored,
			orNull(d.Source), orNull(d.Prediction), orNull(d.Event), orNull(d.Model), orNull(d.Status))
		if err != nil {
			return nil, err
		}
	}
	return nil, nil
}

func deadLetterOf(s *sqlite3.Stmt) DeadLetter {
	return DeadLetter{
		Sequence: uint64(s.ColumnInt64(0)), Consumer: s.ColumnText(1), Cause: bridge.DeadCause(s.ColumnText(2)), Fault: bridge.Fault(s.ColumnText(3)), //nolint:gosec // as it was written
		Error: s.ColumnText(4), Attempts: s.ColumnInt(5), Redrives: s.ColumnInt(6), At: uint64(s.ColumnInt64(7)), Stored: timeOf(s, 8), //nolint:gosec // as it was written
		Source: s.ColumnText(9), Prediction: s.ColumnText(10), Event: s.ColumnText(11), Model: s.ColumnText(12), Status: s.ColumnText(13),
	}
}

// DeadQuery selects dead letters. Every set field must match.
type DeadQuery struct {
	Consumer, Source, Prediction string
	Cause                        bridge.DeadCause
	// Cursor and Limit are as in [Query].
	Cursor string
	Limit  int
}

// DeadLetters returns a page of dead letters, the newest first, as [View.Predictions] does.
func (v *View) DeadLetters(ctx context.Context, q DeadQuery) (page []DeadLetter, next string, err error) {
	before, limit, err := pageOf(q.Cursor, q.Limit)
	if err != nil {
		return nil, "", err
	}
	err = v.read(ctx, func(c *conn) error {
		branches, err := c.deadBranches(q)
		if err != nil {
			return err
		}
		next, err = c.newest(branches, minCursor, before, limit, func(seq int64) (taken bool, err error) {
			err = c.query(selectDead, func(s *sqlite3.Stmt) error {
				d := deadLetterOf(s)
				if taken = (q.Source == "" || q.Source == d.Source) && (q.Prediction == "" || q.Prediction == d.Prediction) &&
					(q.Consumer == "" || q.Consumer == d.Consumer) && (q.Cause == "" || q.Cause == d.Cause); taken {
					page = append(page, d)
				}
				return nil
			}, seq)
			return taken, err
		})
		return err
	})
	return page, next, err
}

func (c *conn) deadBranches(q DeadQuery) ([]branch, error) {
	switch {
	case q.Source != "" && q.Prediction != "":
		return []branch{{numsOfDeadPrediction, []any{q.Source, q.Prediction}}}, nil
	case q.Consumer == "" && q.Cause == "":
		return []branch{{numsOfDead, nil}}, nil
	}
	// The causes are to a consumer what statuses are to a source.
	return c.branchesBy(Query{Status: string(q.Cause)}, numsByConsumer, consumerCauses, numsOfDead, func(visit func(string) bool) error {
		if q.Consumer != "" {
			visit(q.Consumer)
			return nil
		}
		visit("") // of events that expired without any consumer
		return c.skip(nextConsumer, "", visit)
	})
}
