package view

import (
	"context"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/ncruces/go-sqlite3"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/printable"
)

// Kept is a delivery in quarantine, or a refused one, without its body and headers, which
// the stream has.
type Kept struct {
	Sequence  uint64    `json:"seq"` // in its stream
	Source    string    `json:"source"`
	Cause     string    `json:"cause"`
	Detail    string    `json:"detail,omitempty"`
	Received  time.Time `json:"received,omitzero"`
	Stored    time.Time `json:"stored"`
	Remote    string    `json:"remote,omitempty"`
	RequestID string    `json:"request_id,omitempty"`
	Bytes     int64     `json:"bytes"` // of the body as it came
	Truncated bool      `json:"truncated,omitempty"`
}

// decodeKept never fails: what cannot be read is a kept delivery too, which can be looked at and
// dropped. The subject says of which source and cause it is, since they are found by it.
func decodeKept(_ bridge.Names, m jetstream.Msg, to *message) error {
	bounded := func(s string) string { return printable.Truncate(s, maxText) }
	row := Kept{Sequence: to.seq, Source: bounded(m.Subject()), Cause: "unreadable", Stored: to.stored}
	if tokens := strings.Split(m.Subject(), "."); len(tokens) == keptTokens {
		row.Source, row.Cause = bounded(tokens[2]), bounded(tokens[3])
	}
	if k, err := bridge.DecodeKept(bridge.Header(m.Headers()), nil); err != nil {
		row.Detail = bounded("this message was not written by Hookspan: " + err.Error())
		row.Received, row.Bytes, row.Truncated = to.stored, int64(len(m.Data())), true
	} else {
		row.Detail, row.Received, row.Remote, row.RequestID = bounded(k.Detail), k.ReceivedAt, bounded(k.RemoteAddr), bounded(k.RequestID)
		row.Bytes, row.Truncated = k.BodyBytes, k.Truncated
	}
	to.row = row
	return nil
}

// keptTokens is of how many tokens the subject of a kept delivery is.
const keptTokens = 4

func foldKept(c *conn, st *stream, b block) (func(), error) {
	for _, m := range b.msgs {
		k, ok := m.row.(Kept)
		if !ok {
			continue
		}
		err := c.run(insertKept, st.name, k.Sequence, k.Source, k.Cause, k.Detail, k.Received, k.Stored, k.Remote, k.RequestID, k.Bytes, k.Truncated)
		if err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// KeptQuery selects kept deliveries. Every set field must match.
type KeptQuery struct {
	// Refused selects from the ring of refused deliveries, otherwise from quarantine.
	Refused       bool
	Source, Cause string
	// Cursor and Limit are as in [Query].
	Cursor string
	Limit  int
}

// Kept returns a page of kept deliveries, the newest first, as [View.Predictions] does.
func (v *View) Kept(ctx context.Context, q KeptQuery) (page []Kept, next string, err error) {
	before, limit, err := pageOf(q.Cursor, q.Limit)
	if err != nil {
		return nil, "", err
	}
	stream := v.cfg.Names.QuarantineStream()
	if q.Refused {
		stream = v.cfg.Names.RefusedStream()
	}
	err = v.read(ctx, func(c *conn) error {
		next, err = c.newest([]branch{{sql: numsOfKept, args: []any{stream}}}, minCursor, before, limit, maxExamined, func(seq int64) (taken bool, err error) {
			err = c.query(selectKept, func(s *sqlite3.Stmt) error {
				k := Kept{
					Sequence: uint64(seq), Source: s.ColumnText(0), Cause: s.ColumnText(1), Detail: s.ColumnText(2), Received: timeOf(s, 3), Stored: timeOf(s, 4), //nolint:gosec // as it was written
					Remote: s.ColumnText(5), RequestID: s.ColumnText(6), Bytes: s.ColumnInt64(7), Truncated: s.ColumnBool(8),
				}
				if taken = (q.Source == "" || q.Source == k.Source) && (q.Cause == "" || q.Cause == k.Cause); taken {
					page = append(page, k)
				}
				return nil
			}, stream, seq)
			return taken, err
		})
		return err
	})
	return page, next, err
}
