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
	// alarmLasts is for how long an alarm is active that does not say so itself, as it tells of what
	// has happened once. longestActive bounds what an alarm says itself.
	alarmLasts, longestActive = 15 * time.Minute, 2 * time.Hour
	// recentAlarms bounds the alarms that are looked at.
	recentAlarms = 1000
)

// ActiveAlarm is the last alarm of its kind and subject.
type ActiveAlarm struct {
	Alarm

	// Since is when the first of those was raised that came without a pause: each within the
	// time for which the one before it was active, and none of them cleared.
	Since time.Time
}

// ActiveAlarms returns the alarms that were raised within the last 15 minutes, or that say that
// they are active for longer, the newest first, one of each kind and subject; none whose last one
// is cleared. It looks at the last 1,000 alarms.
func (v *View) ActiveAlarms(ctx context.Context, now time.Time) (active []ActiveAlarm, err error) {
	type key struct{ kind, subject string }
	at := map[key]int{} // -1: nothing earlier of it counts
	err = v.read(ctx, func(c *conn) error {
		return c.query(selectAlarms, func(s *sqlite3.Stmt) error {
			k, stored := key{s.ColumnText(1), s.ColumnText(2)}, timeOf(s, 4)
			i, known := at[k]
			if known && i < 0 {
				return nil
			}
			a := ActiveAlarm{Alarm: Alarm{Sequence: uint64(s.ColumnInt64(0))}, Since: stored} //nolint:gosec // as it was written
			if err := json.Unmarshal(s.ColumnRawBlob(3), &a.Alarm.Alarm); err != nil {
				return fmt.Errorf("reading an alarm: %w: %w", errDamaged, err)
			}
			lasts := min(max(alarmLasts, a.Until.Sub(stored)), longestActive)
			switch {
			case !known && !a.Cleared && now.Sub(stored) <= lasts:
				at[k], active = len(active), append(active, a)
			case known && !a.Cleared && active[i].Since.Sub(stored) <= lasts:
				active[i].Since = stored
			default:
				at[k] = -1
			}
			return nil
		}, int64(math.MaxInt64), recentAlarms)
	})
	return active, err
}
