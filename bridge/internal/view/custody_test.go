package view

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestWhereOutputsAre(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	x := r.start("view.db", func(c *Config) { c.Life = func(string) time.Duration { return 24 * time.Hour } })
	stored := says(t, "stored", finished)
	r.publish(stored, archivedOf(t, stored), says(t, "pending", finished), says(t, "open", running))
	x.folded()
	ended := x.state("pending").CompletedAt
	keys := []Key{{"get3w", "stored"}, {"get3w", "pending"}, {"get3w", "open"}, {"get3w", "nobody"}}
	for now, want := range map[time.Time]Custody{
		ended.Add(time.Hour):      {Unknown: 1, Archived: 1, Others: 1},
		ended.Add(48 * time.Hour): {Unknown: 1, Archived: 1, Gone: 1},
	} {
		got, err := x.Custody(t.Context(), keys, now)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
}
