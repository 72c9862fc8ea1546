package view

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/ncruces/go-sqlite3"

	"github.com/hookspan/hookspan/bridge"
)

// Prediction returns the state of a prediction, without the events that were not folded yet.
// The error wraps [bridge.ErrNotFound] when the view does not know it, or no longer, and
// [ErrUnavailable] while the view cannot be read.
func (v *View) Prediction(ctx context.Context, source, id string) (state *bridge.PredictionState, err error) {
	err = v.read(ctx, func(c *conn) error {
		return c.query(selectPrediction, func(s *sqlite3.Stmt) error { state, err = stateOf(s, 0); return err }, source, id)
	})
	if err == nil && state == nil {
		err = fmt.Errorf("prediction %q of %s: %w", id, source, bridge.ErrNotFound)
	}
	return state, err
}

func stateOf(s *sqlite3.Stmt, column int) (*bridge.PredictionState, error) {
	var state bridge.PredictionState
	if err := json.Unmarshal(s.ColumnRawBlob(column), &state); err != nil {
		return nil, fmt.Errorf("reading a prediction: %w: %w", errDamaged, err)
	}
	return &state, nil
}

// has reports whether the statement returns a row.
func (c *conn) has(sql string, args ...any) (found bool, err error) {
	err = c.query(sql, func(*sqlite3.Stmt) error { found = true; return nil }, args...)
	return found, err
}
