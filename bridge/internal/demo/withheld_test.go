package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestReadWithheld(t *testing.T) {
	got, err := readWithheld([]byte(`{"entries":[{"stream":"quarantine","cause":"no_id"},{"stream":"refused","cause":"no_signature"},` +
		`{"stream":"refused","cause":"wrong_length"},{"stream":"refused","cause":"wrong_signature"},{"stream":"refused","cause":"wrong_signature"}]}`))
	require.NoError(t, err)
	require.Equal(t, testPlan(t).want().withheld, got)

	got, err = readWithheld([]byte(`{"entries":[{"stream":"refused","cause":"no_id"},{"stream":"refused","cause":"no_id"}]}`))
	require.NoError(t, err)
	require.Equal(t, withheldCounts{refused: 2, explained: 1}, got)
	_, err = readWithheld(nil)
	require.Error(t, err)
}
