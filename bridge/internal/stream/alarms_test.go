package stream_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/stream"
	"github.com/hookspan/hookspan/bridge/internal/stream/streamtest"
)

func TestAlarmsAreLoggedCountedAndKept(t *testing.T) {
	t.Parallel()
	b := streamtest.Start(t, streamtest.Config())
	core, logs := observer.New(zap.ErrorLevel)
	pub := stream.NewPublisher(b.JS, b.Names) // not usable yet
	t.Cleanup(pub.Close)
	alarms := stream.NewAlarms(b.Names, zap.New(core))
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- alarms.Run(ctx, pub) }()

	full := bridge.Alarm{Kind: bridge.AlarmStoreFull, Subject: "S", Text: "full", Details: map[string]any{"bytes": 1}}
	alarms.Raise(full)
	alarms.Raise(full)
	full.Subject = "T"
	alarms.Raise(full)
	alarms.Raise(bridge.Alarm{Kind: bridge.AlarmClock, Text: "jumped"})
	alarms.Raise(bridge.Alarm{Kind: bridge.AlarmClock, Text: "it is right again", Cleared: true})
	require.Equal(t, 3, logs.Len(), "the same one is not repeated, and the end of one is no error")
	require.Zero(t, b.Messages(t, "HOOKSPAN_ALARMS"))

	// Alarms that were raised while the store was away are stored once it is back.
	pub.SetFit(true)
	stop()
	require.NoError(t, <-done)
	require.EqualValues(t, 4, b.Messages(t, "HOOKSPAN_ALARMS"))
	st, err := b.JS.Stream(context.Background(), "HOOKSPAN_ALARMS")
	require.NoError(t, err)
	m, err := st.GetMsg(context.Background(), 1)
	require.NoError(t, err)
	require.Equal(t, "hookspan.alarms.store_full", m.Subject)
	var kept bridge.Alarm
	require.NoError(t, json.Unmarshal(m.Data, &kept))
	require.Equal(t, "full", kept.Text)
	require.WithinDuration(t, time.Now(), kept.Time, time.Minute)
	require.EqualValues(t, 1, kept.Details["bytes"])

	reg := prometheus.NewPedanticRegistry()
	reg.MustRegister(alarms.Collectors()...)
	series, err := testutil.GatherAndCount(reg, "hookspan_alarms_total")
	require.NoError(t, err)
	require.Len(t, bridge.AlarmKinds, series, "each begins at zero")
	require.NoError(t, testutil.GatherAndCompare(reg, strings.NewReader(`
# HELP hookspan_alarms_dropped_total Alarms that were logged and could not be kept in the stream of alarms.
# TYPE hookspan_alarms_dropped_total counter
hookspan_alarms_dropped_total 0
`), "hookspan_alarms_dropped_total"))
	families, err := reg.Gather()
	require.NoError(t, err)
	counted := map[string]float64{}
	for _, m := range families[slices.IndexFunc(families, func(f *dto.MetricFamily) bool { return f.GetName() == "hookspan_alarms_total" })].GetMetric() {
		counted[m.GetLabel()[0].GetValue()] = m.GetCounter().GetValue()
	}
	require.InDelta(t, 3, counted[bridge.AlarmStoreFull], 0)
	require.InDelta(t, 1, counted[bridge.AlarmClock], 0, "the end of one is none")
	require.Zero(t, counted[bridge.AlarmExpired])
}

// Whatever the number and origin of alarms, memory is bounded and Raise returns, even if
// nothing stores them.
func TestAlarmsAreBounded(t *testing.T) {
	t.Parallel()
	core, logs := observer.New(zap.ErrorLevel)
	alarms := stream.NewAlarms(bridge.Names{}, zap.New(core)) // it never runs
	for i := range 100 {
		for j := range 100 {
			alarms.Raise(bridge.Alarm{Kind: fmt.Sprintf("kind %d", i), Subject: fmt.Sprintf("subject %d", j), Details: map[string]any{
				"large": strings.Repeat("x", 100), "not JSON": func() {},
			}})
		}
	}
	dropped := logs.FilterMessage("an alarm could not be kept in the stream of alarms").Len()
	require.Equal(t, 65*64, logs.Len()-dropped, "64 kinds and the rest")
	require.Equal(t, 65*64-256, dropped)
}

// An error of several lines becomes one line in the log and in the stream.
func TestAlarmTextIsOneLine(t *testing.T) {
	t.Parallel()
	core, logs := observer.New(zap.ErrorLevel)
	alarms := stream.NewAlarms(bridge.Names{}, zap.New(core))
	alarms.Raise(bridge.Alarm{Kind: bridge.AlarmStreamChanged, Text: errors.Join(errors.New("one"), errors.New("two?")).Error()})
	require.Equal(t, "one; two?", logs.All()[0].Message)
}
