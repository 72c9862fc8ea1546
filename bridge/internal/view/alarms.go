package view

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/ncruces/go-sqlite3"

	"github.com/hookspan/hookspan/bridge"
)

// Alarm is an alarm with its place.
type Alarm struct {
	bridge.Alarm

	Sequence uint64 `json:"seq"` // in its stream
}

// maxAlarmBytes bounds an alarm on the wire. A bridge's have at most 16 KiB.
const maxAlarmBytes = 64 << 10

func decodeAlarm(_ bridge.Names, m jetstream.Msg, to *message) (err error) {
	to.row, err = readAlarm(m.Data())
	return err
}

func readAlarm(body []byte) (alarmRow, error) {
	if n := len(body); n > maxAlarmBytes {
		return alarmRow{}, fmt.Errorf("an alarm of %d bytes, at most %d are possible", n, maxAlarmBytes)
	}
	a := alarmRow{body: body}
	if err := json.Unmarshal(body, &a.alarm); err != nil {
		return alarmRow{}, fmt.Errorf("reading an alarm: %w", err)
	}
	return a, nil
}

// alarmRow is an alarm with its JSON as it came.
type alarmRow struct {
	alarm bridge.Alarm
	body  []byte
}

func foldAlarms(c *conn, _ *stream, b block) (func(), error) {
	for _, m := range b.msgs {
		a, ok := m.row.(alarmRow)
		if !ok || a.body == nil {
			continue
		}
		if err := c.run(insertAlarm, m.seq, a.alarm.Kind, a.alarm.Subject, a.body, m.stored); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// AlarmQuery selects alarms. Every set field must match.
type AlarmQuery struct {
	Kind, Subject string
	// Cursor and Limit are as in [Query].
	Cursor string
	Limit  int
}

// Alarms returns a page of alarms, the newest first, as [View.Predictions] does.
func (v *View) Alarms(ctx context.Context, q AlarmQuery) (page []Alarm, next string, err error) {
	before, limit, err := pageOf(q.Cursor, q.Limit)
	if err != nil {
		return nil, "", err
	}
	err = v.read(ctx, func(c *conn) error {
		next, err = c.newest([]branch{{sql: numsOfAlarms}}, minCursor, before, limit, maxExamined, func(seq int64) (taken bool, err error) {
			err = c.query(selectAlarm, func(s *sqlite3.Stmt) error {
				if taken = (q.Kind == "" || q.Kind == s.ColumnText(0)) && (q.Subject == "" || q.Subject == s.ColumnText(1)); !taken {
					return nil
				}
				a := Alarm{Sequence: uint64(seq)} //nolint:gosec // as it was written
				if err := json.Unmarshal(s.ColumnRawBlob(2), &a.Alarm); err != nil {
					return fmt.Errorf("reading an alarm: %w: %w", errDamaged, err)
				}
				page = append(page, a)
				return nil
			}, seq)
			return taken, err
		})
		return err
	})
	return page, next, err
}
