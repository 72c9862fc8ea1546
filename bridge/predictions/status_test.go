package predictions

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
)

// Events can be of any source: a status tells of the configured ones, and of some.
func TestStatusOfManySources(t *testing.T) {
	r := newRig(t)
	l := NewLedger(r.JS, r.store, Config{Names: r.Names, Sources: map[string]SourceConfig{"get3w": {Source: r.source}, "idle": {}}})
	term := newTerm(l)
	term.last.Store(&place{})
	for n := range 10 * bridge.MaxStatusSources {
		name := fmt.Sprint("forged-", n)
		term.list(name).set(item{openRecord: openRecord{Source: name, ID: "a"}, due: noon})
	}
	term.list("over") // its last one has ended
	term.list("get3w").set(item{openRecord: openRecord{Source: "get3w", ID: "a"}, due: noon.Add(time.Hour)})
	s, err := term.status(t.Context(), noon)
	require.NoError(t, err)
	require.Len(t, s.Sources, 2+bridge.MaxStatusSources)
	require.NotContains(t, s.Sources, "over")
	require.Equal(t, 1, s.Sources["get3w"].Open)
	require.Zero(t, s.Sources["get3w"].Overdue)
	require.Contains(t, s.Sources, "idle")
}
