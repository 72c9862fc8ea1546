package erase

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/streamread"
)

// Place is where something of a prediction can be.
type Place struct {
	Name string
	// Erase removes what the place has of the selection, or only counts it, and returns how many
	// things that were. To call it again is safe. An error says what to do so that another call
	// succeeds.
	Erase func(ctx context.Context, s *Selection, dryRun bool) (int, error)
	// Late: attempts that end during a call write there, so it is searched once more at the end.
	Late bool
	// Remains: it has what other places have removed.
	Remains bool
}

// Config of an [Eraser].
type Config struct {
	Names    bridge.Names
	JS       jetstream.JetStream
	Registry *Registry
	// Publish makes an event durable.
	Publish func(ctx context.Context, e *bridge.Event) (bridge.Receipt, error)
	// Forwarded returns nil once everything that this process had accepted is in the streams.
	Forwarded func(ctx context.Context) error
	// Beyond names what no call reaches, for people.
	Beyond []string
	// Places are erased behind the streams, in order.
	Places []Place
	// OfTenant returns the first predictions that the view knows of a tenant, and whether there
	// are more. is says whether a name is that of the tenant.
	OfTenant func(ctx context.Context, is func(name string) bool, limit int) ([]Target, bool, error)
	Logger   *zap.Logger
}

// Eraser erases predictions, one call after the other. It is safe for concurrent use.
type Eraser struct {
	cfg    Config
	places []Place
	// one is held during a call, and guards recent: when predictions were erased.
	one    sync.Mutex
	recent map[Target]time.Time
}

// recently is for how long the files are searched for what was erased; maxRecent bounds it.
const recently, maxRecent = time.Minute, 1000

// remember tells s what was erased shortly before, and remembers its own targets.
func (e *Eraser) remember(s *Selection) {
	s.recent = map[Target]bool{}
	for t, at := range e.recent {
		if time.Since(at) > recently || len(s.recent) >= maxRecent {
			delete(e.recent, t)
			continue
		}
		s.recent[t] = true
	}
	for t := range s.targets {
		e.recent[t] = time.Now()
	}
}

// New returns an eraser.
func New(cfg Config) *Eraser {
	return &Eraser{cfg: cfg, places: append(streamPlaces(cfg), cfg.Places...), recent: map[Target]time.Time{}}
}

// rounds is how often what is still found is erased: an attempt that is under way can write once
// more.
const rounds = 3

// Prediction erases one prediction. The report says what was erased, by place, and what could
// not be; to call again is safe. The error says that nothing was done.
func (e *Eraser) Prediction(ctx context.Context, source, id string, dryRun bool) (adminapi.EraseReport, error) {
	if err := e.reach(ctx); err != nil {
		return adminapi.EraseReport{}, err
	}
	e.one.Lock()
	defer e.one.Unlock()
	return e.run(ctx, newSelection([]Target{{source, id}}, nil), dryRun)
}

// reachTime bounds the question whether NATS answers: a call has minutes, which none must spend on
// waiting for a server that is away.
const reachTime = 5 * time.Second

// reach returns an error unless NATS answers.
func (e *Eraser) reach(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, reachTime)
	defer cancel()
	_, err := streamread.Open(ctx, e.cfg.JS, e.cfg.Names.EventsStream())
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil
	}
	return err
}

func (e *Eraser) run(ctx context.Context, s *Selection, dryRun bool) (adminapi.EraseReport, error) {
	report := adminapi.EraseReport{DryRun: dryRun, Predictions: len(s.targets), Places: []adminapi.ErasePlace{}, Beyond: e.cfg.Beyond}
	if err := e.cfg.Registry.Ready(ctx); err != nil {
		return report, err
	}
	if dryRun {
		for _, p := range e.places {
			n, err := p.Erase(ctx, s, true)
			report.Places = append(report.Places, adminapi.ErasePlace{Place: p.Name, Count: n, Error: text(err)})
		}
		report.Complete = !report.Failed()
		return report, nil
	}
	e.remember(s)
	// Known to all before the first thing goes, or it could come back between.
	for t := range s.targets {
		if err := e.cfg.Registry.Put(ctx, t, nil); err != nil {
			return report, err
		}
	}
	forwarded := e.cfg.Forwarded(ctx)
	for _, p := range e.places {
		report.Places = append(report.Places, e.place(ctx, p, s))
	}
	e.late(ctx, s, report.Places)
	if forwarded != nil {
		report.Places = append(report.Places, adminapi.ErasePlace{Place: "forwarding", Error: text(forwarded)})
	}
	report.Complete = !report.Failed()
	e.tell(ctx, s, &report)
	e.cfg.Logger.Info("predictions were erased", zap.Int("predictions", len(s.targets)), zap.Bool("complete", report.Complete))
	return report, nil
}

// place erases in one place until it finds nothing there.
func (e *Eraser) place(ctx context.Context, p Place, s *Selection) (done adminapi.ErasePlace) {
	done.Place = p.Name
	for range rounds {
		n, err := p.Erase(ctx, s, false)
		done.Count += n
		if err == nil {
			done.Left, err = p.Erase(ctx, s, true)
		}
		if done.Error = text(err); err != nil {
			return done
		}
		if done.Left == 0 {
			return done
		}
	}
	done.Error = "it is still found there: repeat the call"
	return done
}

// late erases what attempts have written whose handlers had returned before the prediction was
// known to be erased. It adds that to what was done in the places.
func (e *Eraser) late(ctx context.Context, s *Selection, done []adminapi.ErasePlace) {
	found := 0
	for i, p := range e.places {
		if !p.Late && (!p.Remains || found == 0) {
			continue
		}
		again := e.place(ctx, p, s)
		found += again.Count
		done[i].Count += again.Count
		done[i].Left, done[i].Error = again.Left, again.Error
	}
}

// tell lets other systems follow.
func (e *Eraser) tell(ctx context.Context, s *Selection, report *adminapi.EraseReport) {
	var errs []error
	for t := range s.targets {
		told := bridge.Erased{Source: t.Source, Hash: bridge.ErasedHash(t.Source, t.ID), ErasedAt: time.Now().UTC()}
		event, err := told.Event(s.models[t])
		if err == nil {
			_, err = e.cfg.Publish(ctx, event)
		}
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		report.Complete = false
		report.Places = append(report.Places, adminapi.ErasePlace{Place: "event", Error: text(err)})
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
