package config

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/consumers"
)

func TestParseStart(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 31, 15, 4, 5, 0, time.UTC)
	for text, want := range map[string]consumers.Start{"new": {}, "all": {All: true}, "2026-01-31T15:04:05Z": {At: at}} {
		got, err := ParseStart(text)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	_, err := ParseStart("yesterday")
	require.ErrorContains(t, err, "new, all")
}
