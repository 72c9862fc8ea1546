package view

import (
	"context"
	"time"

	"github.com/ncruces/go-sqlite3"
)

const (
	// BacklogStep is how often it is written down how many events wait for consumers.
	BacklogStep = 5 * time.Minute
	// BacklogKeep is how long that is kept.
	BacklogKeep = 24 * time.Hour
	// maxBacklogs bounds the consumers of which that is kept: anybody may make durables.
	maxBacklogs = 256
)

// Backlog is how many events waited for a consumer at a time.
type Backlog struct {
	At      time.Time
	Pending uint64
}

// AddBacklog writes down how many events wait for consumers at a time, by their names, and forgets
// what is older than [BacklogKeep]. It replaces what was said of the same [BacklogStep]. The
// streams do not know it, so a view that is made anew begins with none.
func (v *View) AddBacklog(at time.Time, pending map[string]uint64) error {
	return v.write(func(c *conn) error {
		if err := c.run(deleteBacklog, at.Add(-BacklogKeep)); err != nil {
			return err
		}
		n, start := 0, at.Truncate(BacklogStep)
		for consumer, pending := range pending {
			if n++; n > maxBacklogs {
				return nil
			}
			if err := c.run(setBacklog, start, consumer, pending); err != nil {
				return err
			}
		}
		return nil
	})
}

// Backlogs returns how many events waited for a consumer, the oldest first: at most one for each
// [BacklogStep] within [BacklogKeep] before now.
func (v *View) Backlogs(ctx context.Context, consumer string, now time.Time) (out []Backlog, err error) {
	err = v.read(ctx, func(c *conn) error {
		out = nil
		return c.query(selectBacklog, func(s *sqlite3.Stmt) error {
			out = append(out, Backlog{timeOf(s, 0), uint64(s.ColumnInt64(1))}) //nolint:gosec // as it was written
			return nil
		}, consumer, now.Add(-BacklogKeep))
	})
	return out, err
}
