package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/lasting"
	"github.com/hookspan/hookspan/bridge/internal/redelivery/durables"
	"github.com/hookspan/hookspan/bridge/internal/stream"
	"github.com/hookspan/hookspan/internal/adminapi"
)

const (
	leftEvery   = 30 * time.Second
	leftTimeout = 30 * time.Second
)

// watchLeftBehind raises an alarm while events wait in a place of an earlier configuration where
// this one does not look.
func (s *store) watchLeftBehind(ctx context.Context) {
	waiting := lasting.New(s.alarms)
	for first := true; ctx.Err() == nil; first = false {
		for _, left := range s.record.Left() {
			if err := s.countLeft(ctx, left, first); err != nil && ctx.Err() == nil {
				s.log.Warn("the events that wait where nats.url and nats.prefix were before cannot be counted",
					zap.String("store", left.Store), zap.String("prefix", left.Prefix), zap.Error(err))
			}
		}
		var holding []bridge.Alarm
		for _, left := range s.leftBehind() {
			holding = append(holding, bridge.Alarm{
				Kind: bridge.AlarmLeftBehind, Subject: left.Store + " " + left.Prefix, Text: left.Text,
				Over:    "no events wait any more in " + left.Store + " under nats.prefix " + left.Prefix,
				Details: map[string]any{"store": left.Store, "prefix": left.Prefix, "waiting": left.Waiting, "counted_at": left.CountedAt},
			})
		}
		waiting.Look(holding...)
		select {
		case <-ctx.Done():
		case <-time.After(leftEvery):
		}
	}
}

// leftBehind returns the places with events in them, by the last count.
func (s *store) leftBehind() []adminapi.LeftBehind {
	var out []adminapi.LeftBehind
	for _, left := range s.record.Left() {
		if left.Waiting > 0 {
			out = append(out, adminapi.LeftBehind{
				Store: left.Store, Prefix: left.Prefix, Waiting: left.Waiting, CountedAt: left.At, Text: leftText(left.Place, left.Waiting),
			})
		}
	}
	return out
}

func leftText(at durables.Place, waiting uint64) string {
	where := "the embedded NATS, without nats.url"
	if at.Store != durables.Embedded {
		where = "nats.url " + at.Store
	}
	return fmt.Sprintf("at least %d events wait where the configuration does not look any more (%s, nats.prefix %s): "+
		"to have them handled, run the bridge with the old values and roles [consumers, reconciler, admin] until hookspan consumers list shows none that wait, and then with the new ones; before a new NATS has events, hookspan migrate moves everything",
		waiting, where, at.Prefix)
}

// countLeft counts the events that wait in a place. A place that cannot be read keeps its last
// number until its events are too old to exist.
func (s *store) countLeft(ctx context.Context, left durables.Left, first bool) error {
	ctx, cancel := context.WithTimeout(ctx, leftTimeout)
	defer cancel()
	names, waiting, err := bridge.Names{Prefix: left.Prefix}, uint64(0), error(nil)
	switch {
	case left.Store == placeOf(s.cfg).Store: // under another prefix
		waiting, err = waitingIn(ctx, s.consume, names)
	case left.Store == durables.Embedded && first: // its server does not run now
		waiting, err = s.waitingInFolder(ctx, names)
	case left.Store == durables.Embedded || time.Since(left.At) <= time.Duration(s.cfg.NATS.Events.MaxAge):
		return nil
	}
	if err != nil {
		return err
	}
	return s.record.Counted(left.Place, waiting)
}

// waitingIn returns the least number of waiting events: one event may wait for several
// consumers.
func waitingIn(ctx context.Context, js jetstream.JetStream, names bridge.Names) (uint64, error) {
	states, err := durables.New(js, names, nil).List(ctx)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return 0, nil
	}
	most := uint64(0)
	for _, state := range states {
		most = max(most, state.Outstanding())
	}
	return most, err
}

// waitingInFolder counts in the store of the embedded server, which it starts without letting
// others connect.
func (s *store) waitingInFolder(ctx context.Context, names bridge.Names) (uint64, error) {
	log := s.log.Named("left")
	server, err := stream.StartEmbedded(s.folder, stream.EmbeddedConfig{Names: names}, log) //nolint:contextcheck // it goes on until Close
	if err != nil {
		return 0, err
	}
	defer server.Close()
	nc, err := server.Connect("hookspan-left", log)
	if err != nil {
		return 0, err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return 0, fmt.Errorf("using JetStream: %w", err)
	}
	return waitingIn(ctx, js, names)
}
