package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/cmd/internal/rig"
)

func TestAlarmsNameMessages(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	const before = "not JSON\n" + `{"level":"error","alarm":"store_corrupt","details":{"from":1,"to":9}}` + "\n"
	require.NoError(t, os.WriteFile(log, []byte(before+
		`{"level":"error","msg":"x","alarm":"store_corrupt","subject":"HOOKSPAN_EVENTS 5-7","details":{"stream":"HOOKSPAN_EVENTS","from":5,"to":7}}`+"\n"+
		`{"level":"error","alarm":"clock","details":{"from":0,"to":100}}`+"\n"+
		`{"level":"warn","msg":"store_corrupt"}`+"\n"), 0o600))
	found := alarms(log, int64(len(before)))
	require.Len(t, found, 2)
	for sequence, named := range map[uint64]bool{4: false, 5: true, 7: true, 8: false} {
		require.Equal(t, named, found[0].names(sequence), sequence)
		require.False(t, found[1].names(sequence))
	}
	end := alarm{Alarm: "store_backwards"}
	end.Details.Last, end.Details.LastBefore = 5, 9
	for sequence, named := range map[uint64]bool{5: false, 6: true, 9: true, 10: false} {
		require.Equal(t, named, end.names(sequence), sequence)
	}
	require.Error(t, rig.Try(func() { alarms(filepath.Join(t.TempDir(), "none"), 0) }))
}
