package view

import (
	"maps"
	"slices"

	"github.com/ncruces/go-sqlite3"

	"github.com/hookspan/hookspan/bridge"
)

// worse are the states of standings, the best first.
var worse = []LaneState{LaneHandled, LaneFailing, LaneDead}

// standings returns how the consumers stand that told of an event of the prediction or have a
// dead letter of it, by name: with each the worst of its last 200 events.
func (c *conn) standings(num int64, source, id string) (out []Standing, err error) {
	type place struct{ event, consumer string }
	lanes := map[place]*TimelineEvent{}
	err = c.query(selectStandings, func(s *sqlite3.Stmt) error {
		event, consumer := longID(id, s.ColumnText(0)), s.ColumnText(1)
		if s.ColumnInt64(2) == markOf(event) { // otherwise of another stream's event
			try := Try{At: timeOf(s, 3), Verdict: s.ColumnText(4)}
			lanes[place{event, consumer}] = &TimelineEvent{EventRef: bridge.EventRef{ID: event}, Attempts: []LastAttempt{{Consumer: consumer, Try: try}}}
		}
		return nil
	}, num, maxTimeline)
	if err != nil {
		return nil, err
	}
	var dead []DeadLetter
	err = c.query(selectDeadOf, func(s *sqlite3.Stmt) error {
		d := deadLetterOf(s)
		dead = append(dead, d)
		if at := (place{d.Event, d.Consumer}); lanes[at] == nil {
			lanes[at] = &TimelineEvent{EventRef: bridge.EventRef{ID: d.Event}}
		}
		return nil
	}, source, id, maxTimeline)
	worst := map[string]int{}
	for at, e := range lanes {
		if bad := slices.Index(worse, laneOf(e, dead, &ConsumerInfo{Name: at.consumer}).State); bad >= 0 {
			worst[at.consumer] = max(worst[at.consumer], bad)
		}
	}
	for _, consumer := range slices.Sorted(maps.Keys(worst)) {
		out = append(out, Standing{consumer, worse[worst[consumer]]})
	}
	return out, err
}
