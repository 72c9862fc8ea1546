package predictions

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
const listing = 10 * time.Second

// reconciler asks the providers for predictions whose webhooks do not come. What it
// learns of providers it keeps from one term of the process to the next. It is safe for
// concurrent use; one term runs at a time.
type reconciler struct {
	cfg     Config
	store   Store
	js      jetstream.JetStream
	ledger  *Reader
	log     *zap.Logger
	times   *timings
	models  *models
	metrics *reconcileMetrics
	asked   map[string]*asked // every configured source, by name
	looks   int               // mostLooks

	// unlisted is told when a prediction was heard of whose source had no list.
	unlisted chan struct{}
}

// newReconciler returns a reconciler that asks nobody yet. It reads the ledger and the
// events with js.
func newReconciler(cfg Config, store Store, js jetstream.JetStream) *reconciler {
	times := defaultTimings()
	r := &reconciler{
		cfg: cfg, store: store, js: js,
		ledger: NewReader(js, cfg.Names), log: cmp.Or(cfg.Logger, zap.NewNop()).Named("reconciler"),
		times: &times, models: newModels(), asked: map[string]*asked{}, looks: mostLooks, unlisted: make(chan struct{}, 1),
	}
	for name, source := range cfg.Sources {
		r.asked[name] = newAsked(r, name, source)
	}
	r.metrics = newReconcileMetrics(r)
	return r
}

// run asks the providers for what is overdue on d until ctx ends, and then returns nil.
// It returns errTermOver as soon as another process leads the ledger.
func (r *reconciler) run(ctx context.Context, d desk) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		r.askEach(ctx, g, d)
		return nil
	})
	return g.Wait()
}

// askEach begins to ask for each source that can be asked as soon as it has a list.
func (r *reconciler) askEach(ctx context.Context, g *errgroup.Group, d desk) {
	missing := map[string]*asked{}
	for name, a := range r.asked {
		if a.source.Asker != nil {
			missing[name] = a
		}
	}
	look := time.Now() // until when it is looked again and again
	for len(missing) > 0 {
		lists := d.lists()
		maps.DeleteFunc(missing, func(name string, a *asked) bool {
			list := lists[name]
			if list != nil {
				a.listed.Store(true)
				g.Go(func() error {
					defer a.listed.Store(false)
					return a.work(ctx, d, list)
				})
			}
			return list != nil
		})
		var again <-chan time.Time
		if time.Now().Before(look) {
			again = time.After(r.times.behind)
		}
		select {
		case <-ctx.Done():
			return
		case <-again:
		case <-r.unlisted:
			look = time.Now().Add(listing)
		}
	}
}

// noteUnlisted: the list of a source is made when its first prediction is heard of,
// right after it was asked when that is due.
func (r *reconciler) noteUnlisted(source string) {
	if a := r.asked[source]; a == nil || a.source.Asker == nil || a.listed.Load() {
		return
	}
	select {
	case r.unlisted <- struct{}{}:
	default:
	}
}

// ended is told of every prediction that has its end: live with the event that ended it
// when that was folded, otherwise one that the ledger has. It is safe for concurrent use.
func (r *reconciler) ended(s *bridge.PredictionState, _ *bridge.Event, live bool) {
	r.models.add(s.Source, s.Model, took(s))
	a := r.asked[s.Source]
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

// conflict is told of a prediction that ended a second time, in another way, by the
// event. It is safe for concurrent use.
func (r *reconciler) conflict(s *bridge.PredictionState, e *bridge.Event) {
	if a := r.asked[s.Source]; a != nil && e.Origin == bridge.OriginWebhook {
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

// status is what is known of each configured source, but for what is open, which the
// term knows. It is safe for concurrent use.
func (r *reconciler) status(now time.Time) map[string]adminapi.SourceStatus {
	all := map[string]adminapi.SourceStatus{}
	for name, a := range r.asked {
		s := adminapi.SourceStatus{Polled: a.source.Asker != nil && a.source.Asker.HasKey()}
		s.LastWebhook, s.PolledSince = a.silence.since()
		if until := a.throttle.pausedUntil(); until.After(now) {
			s.PausedUntil = until
		}
		all[name] = s
	}
	return all
}

// tellUnasked tells people of overdue predictions that nobody can be asked for: of a
// source that has no API or no key, or that the configuration does not have any more.
func (r *reconciler) tellUnasked(sources map[string]adminapi.SourceStatus) {
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

// collectors are the metrics.
func (r *reconciler) collectors() []prometheus.Collector { return r.metrics.collectors() }
