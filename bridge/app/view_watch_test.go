package app

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/view"
)

// A view that stands still, or stays behind, for a minute is an alarm in whole sentences; one
// that is being made anew is not while it makes progress.
func TestViewThatStandsStillIsTold(t *testing.T) {
	t.Parallel()
	const events = "HOOKSPAN_EVENTS"
	noon := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	status := func(folded uint64, change func(*view.Status)) view.Status {
		st := view.Status{Streams: map[string]view.StreamStatus{events: {Folded: folded, Behind: 7}}}
		change(&st)
		return st
	}
	fine := func(st *view.Status) { st.UpToDate = true }
	anew := func(st *view.Status) { st.Rebuilding = true }
	behind := func(*view.Status) {}
	failed := func(st *view.Status) { st.Error = "writing: the disk is full." }
	unread := func(st *view.Status) {
		st.Streams[events] = view.StreamStatus{Error: "no responders"}
	}
	type look struct {
		folded uint64
		change func(*view.Status)
		kind   string
		text   string
	}
	for name, looks := range map[string][]look{ // one each 40 s
		"up to date":                   {{1, fine, "", ""}, {1, fine, "", ""}, {1, fine, "", ""}},
		"behind":                       {{1, fine, "", ""}, {1, behind, "", ""}, {2, behind, bridge.AlarmViewBehind, "is behind since 2026-01-31T12:00:00Z, by 7 events. Webhooks"}},
		"never anything":               {{0, failed, "", ""}, {0, failed, "", ""}, {0, failed, bridge.AlarmViewFailed, "since 2026-01-31T12:00:00Z: writing: the disk is full. Webhooks"}},
		"NATS is away":                 {{1, fine, "", ""}, {1, unread, "", ""}, {1, unread, bridge.AlarmViewFailed, "no responders. Webhooks"}},
		"made anew":                    {{1, anew, "", ""}, {2, anew, "", ""}, {3, anew, "", ""}, {4, anew, "", ""}},
		"made anew and standing still": {{1, anew, "", ""}, {2, anew, "", ""}, {2, anew, "", ""}, {2, anew, bridge.AlarmViewBehind, "since 2026-01-31T12:00:40Z"}},
		"repaired":                     {{1, fine, "", ""}, {1, failed, "", ""}, {1, fine, "", ""}, {1, failed, "", ""}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var h viewHealth
			for i, l := range looks {
				alarm := h.look(status(l.folded, l.change), events, noon.Add(time.Duration(i)*40*time.Second))
				if l.kind == "" {
					require.Nil(t, alarm, i)
					continue
				}
				require.NotNil(t, alarm, i)
				require.Equal(t, l.kind, alarm.Kind)
				require.Contains(t, alarm.Text, l.text)
			}
		})
	}
}

// The view of a folder has the same name in each run, and another one than that of a
// neighbour.
func TestViewsHaveNames(t *testing.T) {
	t.Parallel()
	require.Equal(t, viewName("data"), viewName("./data"))
	require.NotEqual(t, viewName("data"), viewName("data2"))
}
