package consumers

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/natstest"
)

// nakDelay is the delay in a negative acknowledgement, -1 in one without.
func nakDelay(t *testing.T, wire string) time.Duration {
	t.Helper()
	text, ok := strings.CutPrefix(wire, "-NAK")
	require.True(t, ok, wire)
	if text == "" {
		return -1
	}
	var nak struct {
		Delay time.Duration `json:"delay"`
	}
	require.NoError(t, json.Unmarshal([]byte(text), &nak), wire)
	return nak.Delay
}

// Each row of the table of settle, as sent to the server. The row of a lost lease, which sends
// nothing, is in TestLeaseLostEndsTheAttempt; conflict and poison, which need a record, are in
// TestOnceMakesAConflictADeadLetter and TestPoisonIsADeadLetter.
func TestEveryVerdictOnTheWire(t *testing.T) {
	t.Parallel()
	fault := errors.New("fault")
	type row struct {
		handler HandlerFunc
		cfg     Config
		wire    string                                    // what is said, whole
		delay   [2]time.Duration                          // or, with both ends: -NAK and a delay within them
		check   func(t *testing.T, b *bench, name string) // of what is left behind
	}
	returns := func(err error) HandlerFunc {
		return func(context.Context, *bridge.Event) error { return err }
	}
	dead := func(cause bridge.DeadCause, fault bridge.Fault) func(*testing.T, *bench, string) {
		return func(t *testing.T, b *bench, name string) {
			d, err := bridge.DecodeDeadLetter(bridge.Header(b.deadLetters(name, 1)[0].Headers()))
			require.NoError(t, err)
			require.Equal(t, cause, d.Cause)
			require.Equal(t, fault, d.Fault)
		}
	}
	retry := Retry{First: 10 * time.Second, Max: 20 * time.Second}
	rows := map[string]row{
		"done":         {handler: returns(nil), wire: "+ACK"},
		"refused":      {handler: returns(Refused(fault)), wire: "+TERM refused", check: dead(bridge.DeadRefused, bridge.FaultRefused)},
		"permanent":    {handler: returns(Permanent(fault)), wire: "+TERM permanent", check: dead(bridge.DeadPermanent, bridge.FaultFailed)},
		"snooze":       {handler: returns(Snooze(fault, 7*time.Second)), delay: [2]time.Duration{7 * time.Second, 7 * time.Second}},
		"snooze-bare":  {handler: returns(Snooze(nil, 7*time.Second)), delay: [2]time.Duration{7 * time.Second, 7 * time.Second}},
		"exhausted":    {handler: returns(fault), cfg: Config{Retry: Retry{GiveUpAfter: 1}}, wire: "+TERM exhausted", check: dead(bridge.DeadExhausted, bridge.FaultFailed)},
		"retry-after":  {handler: returns(RetryAfter(fault, 5*time.Second)), delay: [2]time.Duration{5 * time.Second, 5 * time.Second}},
		"retry-within": {handler: returns(RetryWithin(fault, time.Second)), cfg: Config{Retry: retry}, delay: [2]time.Duration{time.Second, time.Second}},
		"error":        {handler: returns(fault), cfg: Config{Retry: retry}, delay: [2]time.Duration{5 * time.Second, 10 * time.Second}},
		"panic":        {handler: func(context.Context, *bridge.Event) error { panic(fault) }, cfg: Config{Retry: retry}, delay: [2]time.Duration{5 * time.Second, 10 * time.Second}},
		"timeout": {
			handler: func(ctx context.Context, _ *bridge.Event) error { <-ctx.Done(); return ctx.Err() },
			cfg:     Config{Retry: retry, Timeout: time.Millisecond}, delay: [2]time.Duration{5 * time.Second, 10 * time.Second},
		},
		"long-wait": {
			// It is acknowledged once it is kept elsewhere.
			handler: returns(RetryAfter(fault, time.Hour)), wire: "+ACK",
			check: func(t *testing.T, b *bench, _ string) {
				require.EqualValues(t, 1, b.Messages(t, "HOOKSPAN_LATER"))
			},
		},
	}
	for name, r := range rows {
		t.Run(name, func(t *testing.T) {
			b := setup(t)
			wire := b.verdicts(name)
			r.cfg.Name = name
			b.run(r.handler, r.cfg)
			b.publish("pred_1")
			said := next(t, wire)
			if r.wire != "" {
				require.Equal(t, r.wire, said)
			} else {
				d := nakDelay(t, said)
				require.GreaterOrEqual(t, d, r.delay[0])
				require.LessOrEqual(t, d, r.delay[1])
			}
			if r.check != nil {
				r.check(t, b, name)
			}
		})
	}
	t.Run("undecodable", func(t *testing.T) {
		b := setup(t)
		wire := b.verdicts("team")
		b.run(func(context.Context, *bridge.Event) error { return nil }, Config{})
		_, err := b.JS.PublishMsg(t.Context(), &nats.Msg{Subject: b.Names.Event("get3w", "completed", "m"), Data: []byte("{}")})
		require.NoError(t, err)
		require.Equal(t, "+TERM undecodable", next(t, wire))
		dead(bridge.DeadUndecodable, bridge.FaultFailed)(t, b, "team")
	})
	t.Run("stopping", func(t *testing.T) {
		b := setup(t)
		wire := b.verdicts("team")
		entered := make(chan struct{})
		stop := b.run(func(ctx context.Context, _ *bridge.Event) error {
			close(entered)
			<-ctx.Done()
			return ctx.Err()
		}, Config{Grace: time.Nanosecond})
		b.publish("pred_1")
		next(t, entered)
		require.NoError(t, stop())
		require.Equal(t, time.Duration(-1), nakDelay(t, next(t, wire)), "whoever is free has it at once")
	})
	t.Run("filtered", func(t *testing.T) {
		b := setup(t)
		wire := b.verdicts("team")
		b.run(func(context.Context, *bridge.Event) error { return fault }, Config{Filter: bridge.Filter{Model: "*-else"}})
		ev := natstest.Event("pred_1")
		_, err := b.Publish(t.Context(), ev)
		require.NoError(t, err)
		require.Equal(t, "+ACK", next(t, wire), "what NATS cannot filter is passed over")
	})
}
