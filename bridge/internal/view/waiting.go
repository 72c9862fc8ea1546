package view

import (
	"context"
	"time"

	"github.com/ncruces/go-sqlite3"
)

// Waiting is what waits for a person, or for an archive.
type Waiting struct {
	// Unarchived is how many predictions have outputs that no archive has and that the provider
	// will delete, the first at NextDeleted. Of those that are Expired it has deleted them.
	Unarchived, Expired int
	NextDeleted         time.Time
	// Quarantined is when the oldest delivery in the quarantine was stored, zero when none is
	// there.
	Quarantined time.Time
}

// waitingKept is for how long a slow count of [View.Waiting] answers [View.Figures] too: so whoever
// calls Waiting more often than that counts for all others.
const waitingKept = 15 * time.Second

// Waiting counts what waits at now.
func (v *View) Waiting(ctx context.Context, now time.Time) (out Waiting, err error) {
	began := time.Now()
	n, err := v.countExpiring(ctx, now)
	if err != nil {
		return out, err
	}
	v.counting.Lock()
	v.remember(expiring, n, now, time.Since(began), waitingKept)
	v.counting.Unlock()
	out.Unarchived, out.NextDeleted = n.open, n.oldest
	err = v.read(ctx, func(c *conn) error {
		err := c.query(countExpired, func(s *sqlite3.Stmt) error { out.Expired = s.ColumnInt(0); return nil }, now)
		if err != nil {
			return err
		}
		return c.query(oldestKept, func(s *sqlite3.Stmt) error { out.Quarantined = timeOf(s, 0); return nil }, v.cfg.Names.QuarantineStream())
	})
	return out, err
}

// countExpiring counts the predictions with outputs that no archive has and that the provider
// will delete, and says when it deletes the first of them.
func (v *View) countExpiring(ctx context.Context, now time.Time) (n counts, err error) {
	err = v.read(ctx, func(c *conn) error {
		return c.query(countExpiring, func(s *sqlite3.Stmt) error { n.open, n.oldest = s.ColumnInt(0), timeOf(s, 1); return nil }, now)
	})
	return n, err
}

// expiring is where counts of outputs that are not archived are remembered; no source has such a
// name.
const expiring = ""
