package view

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
)

// Config of a [View].
type Config struct {
	// Path is the file of the view. SQLite and the view keep other files beside it, whose
	// names begin with it.
	Path string
	// Keep is how long finished predictions stay; zero is 72 hours.
	Keep time.Duration
	// MaxBytes bounds the file: beyond it the predictions that finished first go before their
	// time. Zero is 8 GiB. Open predictions stay whatever it is.
	MaxBytes int64

	Names bridge.Names
	JS    jetstream.JetStream
	// Logger may be nil.
	Logger *zap.Logger

	// Busy reports whether this process has more urgent work: then the view folds for at most
	// a tenth of the time. Nil is never.
	Busy func() bool
	// Due returns when to poll for an open prediction, zero for never. It is asked whenever an
	// event of the prediction is folded. Nil is never.
	Due func(*bridge.PredictionState) time.Time
	// Life returns how long the provider of a source keeps outputs after the end of a
	// prediction, zero for ever. A finished prediction with outputs that no archive has stays
	// at least as long. Nil is for ever.
	Life func(source string) time.Duration
	// Erased reports whether a prediction is erased for good: what the view reads of it, from
	// that message of that stream, is left out. It is called within a transaction. Nil is never.
	Erased func(stream string, seq uint64, source, prediction string) bool
	// Changed takes what became of predictions, in the order of their events, after it is
	// stored. The view waits for it, and may tell a change twice or, when the process ends
	// just then, not at all. It may be nil.
	Changed func([]Change)
	// Restore calls put for each open prediction that is known although its events may have
	// left the stream. A view that is made anew asks before it folds the first event. It may
	// be nil.
	Restore func(ctx context.Context, put func(*bridge.PredictionState) error) error
}

const (
	defaultKeep     = 72 * time.Hour
	defaultMaxBytes = 8 << 30
)

func (c Config) withDefaults() (Config, error) {
	if c.Path == "" || c.JS == nil {
		return c, errors.New("a view needs a path and JetStream")
	}
	if c.Keep < 0 || c.MaxBytes < 0 {
		return c, errors.New("a view cannot keep predictions for a negative time, or in a negative size")
	}
	c.Keep, c.MaxBytes = cmp.Or(c.Keep, defaultKeep), cmp.Or(c.MaxBytes, defaultMaxBytes)
	c.Logger = cmp.Or(c.Logger, zap.NewNop()).Named("view")
	if c.Busy == nil {
		c.Busy = func() bool { return false }
	}
	if c.Due == nil {
		c.Due = func(*bridge.PredictionState) time.Time { return time.Time{} }
	}
	if c.Life == nil {
		c.Life = func(string) time.Duration { return 0 }
	}
	if c.Erased == nil {
		c.Erased = func(string, uint64, string, string) bool { return false }
	}
	if c.Changed == nil {
		c.Changed = func([]Change) {}
	}
	if c.Restore == nil {
		c.Restore = func(context.Context, func(*bridge.PredictionState) error) error { return nil }
	}
	return c, nil
}
