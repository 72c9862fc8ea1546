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

// Waiting returns what waits at now. While very many outputs are not archived, their counts may
// be some seconds old.
func (v *View) Waiting(ctx context.Context, now time.Time) (out Waiting, err error) {
	if out.Unarchived, out.NextDeleted, err = v.expiring(ctx, now); err != nil {
		return out, err
	}
	n, err := v.remembered(expired, func() (n counts, err error) {
		return n, v.read(ctx, func(c *conn) error {
			return c.query(countExpired, func(s *sqlite3.Stmt) error { n.open = s.ColumnInt(0); return nil }, now)
		})
	})
	if err != nil {
		return out, err
	}
	out.Expired = n.open
	return out, v.read(ctx, func(c *conn) error {
		return c.query(oldestKept, func(s *sqlite3.Stmt) error { out.Quarantined = timeOf(s, 0); return nil }, v.cfg.Names.QuarantineStream())
	})
}

// expiring counts the predictions with outputs that no archive has and that the provider will
// delete, and says when it deletes the first of them.
func (v *View) expiring(ctx context.Context, now time.Time) (count int, first time.Time, err error) {
	n, err := v.remembered(expiring, func() (n counts, err error) {
		return n, v.read(ctx, func(c *conn) error {
			return c.query(countExpiring, func(s *sqlite3.Stmt) error { n.open, n.oldest = s.ColumnInt(0), timeOf(s, 1); return nil }, now)
		})
	})
	return n.open, n.oldest, err
}

// expiring and expired are where counts of outputs that are not archived are remembered; no
// source has such a name.
const expiring, expired = "", " expired"
