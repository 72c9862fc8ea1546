package poller

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/adminapi"
)

// listing is for how long a list is looked for after a prediction of a source that has
// none was heard of.
const queueWait = 10 * time.Second

// Poller asks the providers for predictions whose webhooks do not come. It keeps what it
// learns of providers while another process leads. It is safe for concurrent use; Run
// runs once at a time.
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

	// unlisted is told when a prediction was heard of whose source had no list.
	unqueued chan struct{}
}

// New returns a poller that asks nobody yet. It reads predictions of states, and
// events with js.
func New(cfg Config, store Store, states States, js jetstream.JetStream) *Poller {
	times := defaultTimings()
	r := &Poller{
		cfg: cfg, store: store, js: js,
		states: states, log: cmp.Or(cfg.Logger, zap.NewNop()).Named("reconciler"),
		times: &times, models: newModels(), bySource: map[string]*sourcePoller{}, looks: mostLooks, unqueued: make(chan struct{}, 1),
	}
	for name, source := range cfg.Sources {
		r.bySource[name] = newSourcePoller(r, name, source)
	}
	r.metrics = newMetrics(r)
	return r
}

// Run asks the providers for what is overdue on d until ctx ends, and then returns nil.
// It returns [ErrNotLeader] as soon as another process leads.
func (r *Poller) Run(ctx context.Context, d Leadership) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		r.pollEach(ctx, g, d)
		return nil
	})
	return g.Wait()
}

// pollEach begins to poll each source that can be polled as soon as it has a queue.
func (r *Poller) pollEach(ctx context.Context, g *errgroup.Group, d Leadership) {
	missing := map[string]*sourcePoller{}
	for name, a := range r.bySource {
		if a.source.Provider != nil {
			missing[name] = a
		}
	}
	look := time.Now() // until when it is looked again and again
	for len(missing) > 0 {
		queues := d.Queues()
		maps.DeleteFunc(missing, func(name string, a *sourcePoller) bool {
			queue := queues[name]
			if queue != nil {
				a.queued.Store(true)
				g.Go(func() error {
					defer a.queued.Store(false)
					return a.work(ctx, d, queue)
				})
			}
			return queue != nil
		})
		var again <-chan time.Time
		if time.Now().Before(look) {
			again = time.After(r.times.behind)
		}
		select {
		case <-ctx.Done():
			return
		case <-again:
		case <-r.unqueued:
			look = time.Now().Add(queueWait)
		}
	}
}

// noteUnlisted: the list of a source is made when its first prediction is heard of,
// right after it was asked when that is due.
func (r *Poller) noteUnqueued(source string) {
	if a := r.bySource[source]; a == nil || a.source.Provider == nil || a.queued.Load() {
		return
	}
	select {
	case r.unqueued <- struct{}{}:
	default:
	}
}

// Ended is told of every prediction that has its end: live with the event that ended it
// when that was folded, otherwise one that the prediction store has. It is safe for concurrent use.
func (r *Poller) Ended(s *bridge.PredictionState, _ *bridge.Event, live bool) {
	r.models.add(s.Source, s.Model, took(s))
	a := r.bySource[s.Source]
	if a == nil {
		return
	}
	switch s.Origin {
	case bridge.OriginWebhook:
		a.silence.webhook(s.ReceivedAt)
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

// Conflict is told of a prediction that ended a second time, in another way, by the
// event. It is safe for concurrent use.
func (r *Poller) Conflict(s *bridge.PredictionState, e *bridge.Event) {
	if a := r.bySource[s.Source]; a != nil && e.Origin == bridge.OriginWebhook {
		a.silence.webhook(e.ReceivedAt)
	}
	r.cfg.Alarms.Raise(conflictAlarm(s, e))
}

// conflictAlarm says which events contradict each other.
func conflictAlarm(s *bridge.PredictionState, e *bridge.Event) bridge.Alarm {
	first := bridge.EventRef{ID: "one that is not remembered", Status: s.Status, Origin: s.Origin}
	for _, ref := range s.Events {
		if ref.Kind == bridge.KindPrediction && bridge.Terminal(ref.Status) && !ref.Conflict {
			first = ref
		}
	}
	return bridge.Alarm{
		Kind: bridge.AlarmPredictionConflict, Subject: s.Source + "/" + s.ID,
		Text: fmt.Sprintf("prediction %q of %s ended twice, in two ways: first as %s by %s (event %q, number %d), then as %s by %s (event %q, number %d); "+
			"the first one counts, and consumers were given both: compare the two with hookspan events show, and ask the provider which is right",
			s.ID, s.Source, first.Status, first.Origin, first.ID, first.Sequence, e.Status, e.Origin, e.ID, e.Sequence),
		Details: map[string]any{
			"source": s.Source, "prediction": s.ID,
			"first_event": first.ID, "first_status": first.Status, "first_origin": first.Origin, "first_seq": first.Sequence,
			"second_event": e.ID, "second_status": e.Status, "second_origin": e.Origin, "second_seq": e.Sequence,
		},
	}
}

// Status is what is known of each configured source, but for its open predictions, which
// the leadership knows. It is safe for concurrent use.
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

// TellUnpolled tells people of overdue predictions that nobody can be asked for: of a
// source that has no API or no key, or that the configuration does not have any more.
func (r *Poller) TellUnpolled(sources map[string]adminapi.SourceStatus) {
	for name, s := range sources {
		if s.Polled || s.Overdue == 0 {
			continue
		}
		r.cfg.Alarms.Raise(bridge.Alarm{
			Kind: bridge.AlarmPolling, Subject: name,
			Text: fmt.Sprintf("%d predictions of %s are overdue, and nobody can be asked for them: they have no end until their webhooks come: "+
				"set sources.%s.api with a key that can be read", s.Overdue, name, name),
			Details: map[string]any{"source": name, "overdue": s.Overdue, "oldest": s.Oldest},
		})
	}
}

// Collectors are the metrics.
func (r *Poller) Collectors() []prometheus.Collector { return r.metrics.collectors() }
