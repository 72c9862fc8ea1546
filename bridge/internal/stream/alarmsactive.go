package stream

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/hookspan/hookspan/bridge"
)

var alarmsActive = prometheus.NewDesc("hookspan_alarms_active",
	"Alarms of this process that are active, each subject counted: what lasts until it is over, what has happened for 15 minutes.",
	[]string{"kind"}, nil)

// activeAlarms collects how many alarms of each kind are active.
type activeAlarms struct{ *Alarms }

func (activeAlarms) Describe(descs chan<- *prometheus.Desc) { descs <- alarmsActive }

func (a activeAlarms) Collect(metrics chan<- prometheus.Metric) {
	count := map[string]int{alarmKindOfRest: 0}
	for _, kind := range bridge.AlarmKinds {
		count[kind] = 0
	}
	a.mu.Lock()
	now := time.Now()
	for kind, of := range a.told {
		if _, known := count[kind]; !known {
			kind = alarmKindOfRest
		}
		for _, t := range of {
			if t.isActive(now) {
				count[kind]++
			}
		}
	}
	a.mu.Unlock()
	for kind, n := range count {
		metrics <- prometheus.MustNewConstMetric(alarmsActive, prometheus.GaugeValue, float64(n), kind)
	}
}

// isActive reports whether the alarm is active. The caller holds mu.
func (t *told) isActive(now time.Time) bool {
	if t.over == "" {
		return now.Before(t.active)
	}
	return t.ends != nil || now.Before(t.until)
}
