package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestScheduleIsTheProvidersFaster(t *testing.T) {
	s := newSchedule(20)
	var gaps []time.Duration
	for attempt := 0; ; attempt++ {
		gap, again := s.after(attempt)
		if !again {
			break
		}
		gaps = append(gaps, gap)
	}
	require.Equal(t, []time.Duration{500 * time.Millisecond, 1500 * time.Millisecond, 3 * time.Second}, gaps, "four attempts, and no fifth")
	require.Equal(t, minTimeout, s.timeout, "the bridge's deadline is not scaled, so the sender waits longer than that")
	require.Equal(t, 5*time.Second, s.sum())
	require.Equal(t, 9*time.Second, s.span(time.Second))

	require.Equal(t, schedule{gaps: providerGaps, timeout: providerTimeout}, newSchedule(1))
	require.Equal(t, 220*time.Second, newSchedule(1).span(providerTimeout))
}
