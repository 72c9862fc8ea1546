package app

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/view"
	"github.com/hookspan/hookspan/internal/backoff"
	"github.com/hookspan/hookspan/internal/printable"
)

const (
	viewLook = 10 * time.Second
	// viewPatience is for how long a view may fail, or lack the events of a moment ago, before
	// a person is told. A view that is being made anew has as long as it makes progress.
	viewPatience = time.Minute
)

// viewHealth judges what was seen of a view.
type viewHealth struct {
	fine   time.Time // when the view was last up to date, or made progress
	folded uint64
}

// look returns the alarm that is due, nil for none.
func (h *viewHealth) look(st view.Status, events string, now time.Time) *bridge.Alarm {
	at := st.Streams[events]
	if h.fine.IsZero() || st.UpToDate || st.Rebuilding && at.Folded != h.folded {
		h.fine = now
	}
	h.folded = at.Folded
	if now.Sub(h.fine) < viewPatience {
		return nil
	}
	details := map[string]any{"folded": at.Folded, "behind": at.Behind, "since": h.fine.UTC()}
	const effect = "Webhooks are accepted and kept all the same, but lists and searches lack what came since, and overdue predictions are not polled by this process"
	if failure := cmp.Or(st.Error, at.Error); failure != "" {
		details["error"] = failure
		return &bridge.Alarm{
			Kind: bridge.AlarmViewFailed, Subject: events, Details: details,
			Text: printable.Sentences(fmt.Sprintf("the view stands still since %s: %s", h.fine.UTC().Format(time.RFC3339), failure),
				effect+": free its disk or repair its folder; hookspan view rebuild makes it anew"),
		}
	}
	return &bridge.Alarm{
		Kind: bridge.AlarmViewBehind, Subject: events, Details: details,
		Text: printable.Sentences(fmt.Sprintf("the view is behind since %s, by %d events", h.fine.UTC().Format(time.RFC3339), at.Behind),
			effect+": it yields to accepting and catches up when there is less to accept; hookspan view status says how far it is"),
	}
}

// watchView raises an alarm while the view fails or stays behind, until ctx ends.
func watchView(ctx context.Context, v *view.View, events string, alarms bridge.Alarmer) {
	var h viewHealth
	for backoff.Sleep(ctx, viewLook) {
		if alarm := h.look(v.Status(), events, time.Now()); alarm != nil {
			alarms.Raise(*alarm)
		}
	}
}

// viewCollectors are the metrics of the view.
func viewCollectors(v *view.View) []prometheus.Collector {
	return []prometheus.Collector{viewMetrics{
		view:    v,
		behind:  prometheus.NewDesc("hookspan_view_behind", "Messages of a stream that are not in the view yet, as of a moment ago.", []string{"stream"}, nil),
		current: prometheus.NewDesc("hookspan_view_up_to_date", "1 while the view has every event of a moment ago.", nil, nil),
		anew:    prometheus.NewDesc("hookspan_view_rebuilding", "1 while the view is being made anew.", nil, nil),
	}}
}

type viewMetrics struct {
	view                  *view.View
	behind, current, anew *prometheus.Desc
}

func (m viewMetrics) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{m.behind, m.current, m.anew} {
		out <- d
	}
}

func (m viewMetrics) Collect(out chan<- prometheus.Metric) {
	st := m.view.Status()
	yes := func(d *prometheus.Desc, is bool) {
		value := 0.0
		if is {
			value = 1
		}
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value)
	}
	yes(m.current, st.UpToDate)
	yes(m.anew, st.Rebuilding)
	for name, s := range st.Streams {
		out <- prometheus.MustNewConstMetric(m.behind, prometheus.GaugeValue, float64(s.Behind), name)
	}
}
