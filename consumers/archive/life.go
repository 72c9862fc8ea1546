package archive

import (
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/consumers"
)

const (
	// maxUnarchived bounds how many events with unarchived outputs are remembered.
	maxUnarchived = 10_000
	// keepUnarchived is how long an event without further attempts is remembered when the life
	// of its outputs is unknown: longer than any wait for the next attempt.
	keepUnarchived = consumers.MaxRetryDelay + 24*time.Hour
	// retryShare is the divisor of the time left, or gone since, after which the next attempt is
	// made at the latest.
	retryShare = 10
	// alarmShare is the divisor of a life: an alarm is raised when so much of the life is left,
	// and at most one in alarmPause, however many events there are.
	alarmShare = 4
	alarmPause = time.Hour
	minRetry   = time.Second
)

// lives knows how long outputs exist at their provider, and which events have unarchived outputs
// by their last attempt in this process.
type lives struct {
	name   string
	of     func(source string) time.Duration
	alarms bridge.Alarmer

	mu         sync.Mutex
	unarchived map[string]unarchived // by event
	raised     time.Time             // the last alarm
}

type unarchived struct {
	outputs int
	end     time.Time // zero: not known
	seen    time.Time
	alarmed bool
}

func newLives(c Config) *lives {
	return &lives{name: c.Name, of: c.Life, alarms: c.Alarms, unarchived: make(map[string]unarchived)}
}

// end is when the provider deletes the outputs of the event, zero when that is unknown.
func (l *lives) end(ev *bridge.Event) time.Time {
	life := l.of(ev.Source)
	if life <= 0 {
		return time.Time{}
	}
	return ev.Time.Add(life)
}

// failed remembers that outputs of the event are not archived, and returns within what time the
// next attempt should be made, 0 when that is unknown. An alarm is raised once, when a quarter
// of their life is left, unless another event has raised one within the last hour. Without any missing output nothing hurries.
func (l *lives) failed(ev *bridge.Event, outputs int, why error) time.Duration {
	if outputs == 0 {
		l.settled(ev)
		return 0
	}
	now, end := time.Now(), l.end(ev)
	l.mu.Lock()
	before, known := l.unarchived[ev.ID]
	next := unarchived{outputs: outputs, end: end, seen: now, alarmed: before.alarmed}
	soon := !end.IsZero() && end.Sub(now) <= l.of(ev.Source)/alarmShare
	raise := soon && !before.alarmed && now.Sub(l.raised) >= alarmPause
	next.alarmed = before.alarmed || raise
	if raise {
		l.raised = now
	}
	if known || len(l.unarchived) < maxUnarchived || l.prune(now) < maxUnarchived {
		l.unarchived[ev.ID] = next
	}
	l.mu.Unlock()
	if raise {
		l.alarms.Raise(bridge.Alarm{
			Kind: bridge.AlarmArchiveExpires, Subject: l.name,
			Text: fmt.Sprintf("%d outputs of event %s are not archived, and the provider deletes them at %s: %v",
				outputs, ev.ID, end.UTC().Format(time.RFC3339), why),
			Details: map[string]any{"consumer": l.name, "source": ev.Source, "event": ev.ID, "outputs": outputs, "seconds_left": int64(end.Sub(now).Seconds())},
		})
	}
	if end.IsZero() {
		return 0
	}
	// After the end of their life only a fault of ours makes an attempt fail, and that may last.
	return max(end.Sub(now).Abs()/retryShare, minRetry)
}

// settled forgets the event: its outputs are archived, or never will be.
func (l *lives) settled(ev *bridge.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.unarchived, ev.ID)
}

// prune forgets events whose time is over and returns how many are left. The caller holds mu.
func (l *lives) prune(now time.Time) int {
	for event, u := range l.unarchived {
		if !u.end.IsZero() && !now.Before(u.end) || now.Sub(u.seen) > keepUnarchived {
			delete(l.unarchived, event)
		}
	}
	return len(l.unarchived)
}

func (l *lives) outputs() (n float64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.prune(time.Now())
	for _, u := range l.unarchived {
		n += float64(u.outputs)
	}
	return n
}

// secondsLeft is how long the first unarchived output still exists, +Inf when there is none.
func (l *lives) secondsLeft() float64 {
	now, least := time.Now(), math.Inf(1)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.prune(now)
	for _, u := range l.unarchived {
		if !u.end.IsZero() {
			least = min(least, u.end.Sub(now).Seconds())
		}
	}
	return least
}

// newCustody returns a counter of outputs by what became of them.
func newCustody(consumer string) *prometheus.CounterVec {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "hookspan_archive_outputs_total", ConstLabels: prometheus.Labels{"consumer": consumer},
		Help: "Outputs of events that the archive is done with, by custody: stored, or failed for good.",
	}, []string{"custody"})
	for _, custody := range []bridge.Custody{bridge.CustodyStored, bridge.CustodyFailed} {
		c.WithLabelValues(string(custody)) // exports a zero before the first one
	}
	return c
}

// count counts the outputs of an event that the archive is done with, unless an earlier attempt
// has counted them.
func (t *attempt) count() {
	if t.previous != nil && !t.previous.failed() {
		return
	}
	t.custody.WithLabelValues(string(bridge.CustodyStored)).Add(float64(len(t.outputs) - t.missing))
	t.custody.WithLabelValues(string(bridge.CustodyFailed)).Add(float64(t.missing))
}

// Collectors returns the metrics hookspan_archive_outputs_total,
// hookspan_archive_unarchived_outputs and hookspan_archive_unarchived_seconds_left_min, each with
// the archive's name as label consumer.
func (a *Archive) Collectors() []prometheus.Collector {
	labels := prometheus.Labels{"consumer": a.name}
	return []prometheus.Collector{
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "hookspan_archive_unarchived_outputs", ConstLabels: labels,
			Help: "Outputs of events whose last attempt failed here and that may still be archived.",
		}, a.lives.outputs),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "hookspan_archive_unarchived_seconds_left_min", ConstLabels: labels,
			Help: "How long the provider still keeps the first of them; +Inf when there is none.",
		}, a.lives.secondsLeft),
		a.custody,
	}
}
