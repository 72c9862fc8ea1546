package view

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"time"

	"github.com/ncruces/go-sqlite3"
)

const (
	// alarmLasts is for how long an alarm is active: what lasts is raised again every ten
	// minutes.
	alarmLasts = 15 * time.Minute
	// recentAlarms bounds the alarms that are looked at.
	recentAlarms = 1000
)

// ActiveAlarm is the last alarm of its kind and subject.
type ActiveAlarm struct {
	Alarm

	// Since is when the first of those was raised that came without a pause of 15 minutes.
	Since time.Time
}

// ActiveAlarms returns the alarms that were raised within the last 15 minutes, the newest first,
// one of each kind and subject. It looks at the last 1,000 alarms.
func (v *View) ActiveAlarms(ctx context.Context, now time.Time) (active []ActiveAlarm, err error) {
	type key struct{ kind, subject string }
	at := map[key]int{}
	err = v.read(ctx, func(c *conn) error {
		return c.query(selectAlarms, func(s *sqlite3.Stmt) error {
			k, stored := key{s.ColumnText(1), s.ColumnText(2)}, timeOf(s, 4)
			if i, known := at[k]; known {
				if active[i].Since.Sub(stored) <= alarmLasts {
					active[i].Since = stored
				}
				return nil
			}
			if now.Sub(stored) > alarmLasts {
				return nil
			}
			a := ActiveAlarm{Alarm: Alarm{Sequence: uint64(s.ColumnInt64(0))}, Since: stored} //nolint:gosec // as it was written
			if err := json.Unmarshal(s.ColumnRawBlob(3), &a.Alarm.Alarm); err != nil {
				return fmt.Errorf("reading an alarm: %w: %w", errDamaged, err)
			}
			at[k], active = len(active), append(active, a)
			return nil
		}, int64(math.MaxInt64), recentAlarms)
	})
	return active, err
}
