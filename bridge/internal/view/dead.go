package view

import (
	"context"
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
	// Problem is why it holds no event although it should.
	Problem string `json:"problem,omitempty"`
	// Group is the id of its [DeadGroup]; empty in a [Timeline].
	Group string `json:"group,omitempty"`
}

// decodeDead never fails: what cannot be read is a dead letter too, which can be looked at and
// dropped. The subject says whose it is, since rights in NATS go by the subject.
func decodeDead(names bridge.Names, m jetstream.Msg, to *message) error {
	bounded := func(s string) string { return printable.Truncate(s, maxText) }
	row := DeadLetter{Sequence: to.seq, Consumer: bounded(names.DeadConsumer(m.Subject())), Cause: bridge.DeadUndecodable, Stored: to.stored}
	to.row = &row
	h := bridge.Header(m.Headers())
	d, err := bridge.DecodeDeadLetter(h)
	if err != nil {
		row.Problem = bounded(err.Error())
		return nil
	}
	row.Cause, row.Fault, row.Error = bridge.DeadCause(bounded(string(d.Cause))), bridge.Fault(bounded(string(d.Fault))), bounded(d.Error)
	row.Attempts, row.Redrives, row.At = d.Attempts, d.Redrives, d.Sequence
	if d.Cause == bridge.DeadExpired {
		return nil
	}
	e, err := bridge.DecodeEvent(h.Original(), nil)
	if err == nil {
		err = checkEvent(e)
	}
	if err != nil {
		row.Problem = bounded(err.Error())
		return nil
	}
	row.Source, row.Prediction, row.Event, row.Model, row.Status = bounded(e.Source), e.PredictionID, e.ID, e.Model, e.Status
	return nil
}

// maxText bounds texts of messages that anybody may have written, in bytes.
const maxText = 1 << 10

func foldDead(c *conn, st *stream, b block) (func(), error) {
	groups := c.deadGroups()
	for _, m := range b.msgs {
		d, ok := m.row.(*DeadLetter)
		if !ok || d.Prediction != "" && st.cfg.Erased(st.name, d.Sequence, d.Source, d.Prediction) {
			continue
		}
		family, err := groups.add(d)
		if err != nil {
			return nil, err
		}
		err = c.run(insertDead, d.Sequence, d.Consumer, string(d.Cause), string(d.Fault), d.Error, d.Attempts, d.Redrives, d.At, d.Stored,
			orNull(d.Source), orNull(d.Prediction), orNull(d.Event), orNull(d.Model), orNull(d.Status), orNull(d.Problem), family)
		if err != nil {
			return nil, err
		}
	}
	return nil, groups.write(false)
}

func deadLetterOf(s *sqlite3.Stmt) DeadLetter {
	return DeadLetter{
		Sequence: uint64(s.ColumnInt64(0)), Consumer: s.ColumnText(1), Cause: bridge.DeadCause(s.ColumnText(2)), Fault: bridge.Fault(s.ColumnText(3)), //nolint:gosec // as it was written
		Error: s.ColumnText(4), Attempts: s.ColumnInt(5), Redrives: s.ColumnInt(6), At: uint64(s.ColumnInt64(7)), Stored: timeOf(s, 8), //nolint:gosec // as it was written
		Source: s.ColumnText(9), Prediction: s.ColumnText(10), Event: s.ColumnText(11), Model: s.ColumnText(12), Status: s.ColumnText(13),
		Problem: s.ColumnText(14), Group: s.ColumnText(15),
	}
}

// DeadQuery selects dead letters. Every set field must match.
type DeadQuery struct {
	Consumer, Source, Prediction string
	Cause                        bridge.DeadCause
	// Group is the id of a [DeadGroup].
	Group string
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
		next, err = c.newest(branches, minCursor, before, limit, maxExamined, func(seq int64) (taken bool, err error) {
			err = c.query(selectDead, func(s *sqlite3.Stmt) error {
				d := deadLetterOf(s)
				if taken = (q.Source == "" || q.Source == d.Source) && (q.Prediction == "" || q.Prediction == d.Prediction) &&
					(q.Consumer == "" || q.Consumer == d.Consumer) && (q.Cause == "" || q.Cause == d.Cause) && (q.Group == "" || q.Group == d.Group); taken {
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
	case q.Group != "":
		var out []branch
		err := c.query(groupByID, func(s *sqlite3.Stmt) error {
			out = []branch{{sql: numsByGroup, args: []any{s.ColumnInt64(0)}}}
			return nil
		}, q.Group)
		return out, err
	case q.Source != "" && q.Prediction != "":
		return []branch{{sql: numsOfDeadPrediction, args: []any{q.Source, q.Prediction}}}, nil
	case q.Prediction != "":
		var out []branch
		err := c.skip(nextDeadSource, "", func(source string) bool {
			out = append(out, branch{sql: numsOfDeadPrediction, args: []any{source, q.Prediction}})
			return len(out) <= maxBranches
		})
		if len(out) > maxBranches {
			out = []branch{{sql: numsOfDead}}
		}
		return out, err
	case q.Consumer == "" && q.Cause == "":
		return []branch{{sql: numsOfDead}}, nil
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
