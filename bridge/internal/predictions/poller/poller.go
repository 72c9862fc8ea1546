package poller

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/lasting"
	"github.com/hookspan/hookspan/internal/adminapi"
)

// Poller polls providers for predictions whose webhooks do not come. It keeps what it
// learns of providers between leaderships. It is safe for concurrent use; Run runs once at
// a time.
type Poller struct {
	cfg      Config
	store    Store
	js       jetstream.JetStream
	states   States
	log      *zap.Logger
	times    *timings
	models   *models
	metrics  *metrics
	bySource map[string]*sourcePoller // every configured source, by name
	looks    int                      // mostLooks
	unpolled *lasting.Alarms          // of who calls TellUnpolled
}

// New returns a poller that does not run yet. It reads predictions from states and events
// from js.
func New(cfg Config, store Store, states States, js jetstream.JetStream) *Poller {
	times := defaultTimings()
	r := &Poller{
		cfg: cfg, store: store, js: js,
		states: states, log: cmp.Or(cfg.Logger, zap.NewNop()).Named("reconciler"),
		times: &times, models: newModels(), bySource: map[string]*sourcePoller{}, looks: mostLooks, unpolled: lasting.New(cfg.Alarms),
	}
	for name, source := range cfg.Sources {
		r.bySource[name] = newSourcePoller(r, name, source)
	}
	r.metrics = newMetrics(r)
	return r
}

// Run polls for overdue predictions of d until ctx ends, and then returns nil. It returns
// [ErrNotLeader] as soon as another process leads.
func (r *Poller) Run(ctx context.Context, d Leadership) error {
	g, ctx := errgroup.WithContext(ctx)
	for name, a := range r.bySource {
		if a.source.Provider != nil {
			g.Go(func() error { return a.work(ctx, d, newQueue(d, name)) })
		}
	}
	return g.Wait()
}

// Ended notes a prediction that has ended, live when that was a moment ago. It is safe for
// concurrent use.
func (r *Poller) Ended(s *bridge.PredictionState, live bool) {
	r.models.add(s.Source, s.Model, took(s))
	a := r.bySource[s.Source]
	if a == nil {
		return
	}
	switch s.Origin {
	case bridge.OriginWebhook:
		a.webhook(s.ReceivedAt)
	case bridge.OriginPoll:
		end := polledEnd{completed: s.CompletedAt, received: s.ReceivedAt, submitted: s.Announced != nil && s.Announced.Submitted}
		if end.completed.IsZero() {
			end.completed = end.received
		}
		a.silence.poll(end, live)
		if live {
			a.wake()
		}
	}
}

// Conflict notes a prediction that the event at the sequence ended a second time in another
// way, and raises an alarm. Several processes may do so: it is one alarm. It is safe for
// concurrent use.
func (r *Poller) Conflict(s *bridge.PredictionState, e *bridge.Event, sequence uint64) {
	if a := r.bySource[s.Source]; a != nil && e.Origin == bridge.OriginWebhook {
		a.webhook(e.ReceivedAt)
	}
	r.cfg.Alarms.Raise(conflictAlarm(s, e, sequence))
}

// conflictAlarm names the events that contradict each other.
func conflictAlarm(s *bridge.PredictionState, e *bridge.Event, sequence uint64) bridge.Alarm {
	first := bridge.EventRef{ID: "one that is not remembered", Status: s.Status, Origin: s.Origin}
	for _, ref := range s.Events {
		if ref.Kind == bridge.KindPrediction && bridge.Terminal(ref.Status) && !ref.Conflict {
			first = ref
		}
	}
	return bridge.Alarm{
		Kind: bridge.AlarmPredictionConflict, Subject: s.Source + "/" + s.ID, ID: s.Source + "/" + e.ID,
		Text: fmt.Sprintf("prediction %q of %s ended twice, in two ways: first as %s by %s (event %q, number %d), then as %s by %s (event %q, number %d); "+
			"the first one counts, and consumers were given both: compare the two with hookspan events show, and ask the provider which is right",
			s.ID, s.Source, first.Status, first.Origin, first.ID, first.Sequence, e.Status, e.Origin, e.ID, sequence),
		Details: map[string]any{
			"source": s.Source, "prediction": s.ID,
			"first_event": first.ID, "first_status": first.Status, "first_origin": first.Origin, "first_seq": first.Sequence,
			"second_event": e.ID, "second_status": e.Status, "second_origin": e.Origin, "second_seq": sequence,
		},
	}
}

// Status returns the status of each configured source except its open predictions, which
// the leadership counts. It is safe for concurrent use.
func (r *Poller) Status(now time.Time) map[string]adminapi.SourceStatus {
	all := map[string]adminapi.SourceStatus{}
	for name, a := range r.bySource {
		s := adminapi.SourceStatus{Polled: a.source.Provider != nil && a.source.Provider.HasKey()}
		s.LastWebhook, s.PolledSince = a.silence.since()
		if until := a.throttle.pausedUntil(); until.After(now) {
			s.PausedUntil = until
		}
		all[name] = s
	}
	return all
}

// TellUnpolled raises an alarm about overdue predictions that cannot be polled: their
// source has no API or no key, or is not configured any more. It is called by one goroutine at a
// time.
func (r *Poller) TellUnpolled(sources map[string]adminapi.SourceStatus) {
	var unpolled []bridge.Alarm
	for name, s := range sources {
		if s.Polled || s.Overdue == 0 {
			continue
		}
		unpolled = append(unpolled, bridge.Alarm{
			Kind: bridge.AlarmPolling, Subject: name, Over: "no prediction of " + name + " is overdue any more that nobody can be asked for",
			Text: fmt.Sprintf("%d predictions of %s are overdue, and nobody can be asked for them: they have no end until their webhooks come: "+
				"set sources.%s.api with a key that can be read", s.Overdue, name, name),
			Details: map[string]any{"source": name, "overdue": s.Overdue, "oldest": s.Oldest},
		})
	}
	r.unpolled.Look(unpolled...)
}

// Collectors are the metrics of the poller.
func (r *Poller) Collectors() []prometheus.Collector { return r.metrics.collectors() }
