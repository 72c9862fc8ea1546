package view

import (
	"context"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/hookspan/hookspan/bridge"
)

// Custody counts outputs of predictions by who has them.
type Custody struct {
	// Unknown is how many of the predictions the view does not know.
	Unknown int
	// Archived: an archive has them. Gone: the provider has deleted them, and no archive has
	// them. Others are neither.
	Archived, Gone, Others int
}

// Custody says where the outputs of predictions are at a time. The error wraps [ErrUnavailable]
// while the view cannot be read.
func (v *View) Custody(ctx context.Context, keys []Key, now time.Time) (out Custody, err error) {
	err = v.read(ctx, func(c *conn) error {
		out = Custody{}
		for _, k := range keys {
			found := false
			err := c.query(selectPrediction, func(s *sqlite3.Stmt) error {
				state, err := stateOf(s, 0)
				if err != nil {
					return err
				}
				found = true
				state.Expire(now, v.cfg.Life(state.Source))
				out.add(state)
				return nil
			}, k.Source, k.ID)
			if err != nil {
				return err
			}
			if !found {
				out.Unknown++
			}
		}
		return nil
	})
	return out, err
}

func (c *Custody) add(state *bridge.PredictionState) {
	gone := 0
	for _, o := range state.Outputs {
		if o.Custody == bridge.CustodyExpired {
			gone++
		}
	}
	c.Archived += state.Stored
	c.Gone += gone
	c.Others += max(0, state.OutputCount-state.Stored-gone)
}
