package app

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/config"
	"github.com/hookspan/hookspan/bridge/internal/erase"
	"github.com/hookspan/hookspan/bridge/internal/journal"
	"github.com/hookspan/hookspan/bridge/internal/view"
	"github.com/hookspan/hookspan/consumers"
	"github.com/hookspan/hookspan/consumers/archive"
	"github.com/hookspan/hookspan/internal/backoff"
)

// learnTime bounds the wait for what is erased, before webhooks are taken.
const learnTime = 2 * time.Second

// learnErased reads what is erased where NATS serves already, so that the first webhook is
// answered right. Elsewhere the forwarder reads it before anything gets into a stream.
func (s *store) learnErased(ctx context.Context) {
	if !s.consume.Conn().IsConnected() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, learnTime)
	defer cancel()
	if err := s.erased.Ready(ctx); err != nil {
		s.log.Info("what is erased is not known yet", zap.Error(err))
	}
}

// eraser erases as the API does.
func (a *App) eraser() *erase.Eraser {
	s := a.store
	cfg := erase.Config{
		Names: a.cfg.Names(), JS: s.consume, Registry: s.erased, Publish: s.keep().Publish, Forwarded: s.forwarded,
		Beyond:   []string{"backups", "what consumers and other programs have copied", "the provider"},
		OfTenant: a.ofTenant, Logger: a.log.Named("erase"),
	}
	for _, name := range slices.Sorted(maps.Keys(a.cfg.Consumers)) {
		if c, ok := a.cfg.Consumers[name].(*config.Archive); ok {
			cfg.Places = append(cfg.Places, erase.Place{Name: "consumer " + name, Erase: a.archiveEraser(name, c)})
		}
	}
	if s.journal != nil {
		cfg.Places = append(cfg.Places, erase.Place{Name: "journal", Erase: s.eraseInJournal})
	}
	if s.embedded != nil {
		cfg.Remains = []erase.Place{{Name: "files of NATS", Erase: s.eraseInFiles}}
	} else {
		cfg.Beyond = append(cfg.Beyond, "replaced and acknowledged messages in the files of the NATS servers, until they compact them")
	}
	cfg.Last = erase.Place{Name: "view", Erase: a.eraseInView}
	return erase.New(cfg)
}

func (a *App) ofTenant(ctx context.Context, is func(name string) bool, limit int) (targets []erase.Target, more bool, err error) {
	tenant, err := a.view.Tenant(ctx, is)
	if err != nil || tenant == "" {
		return nil, false, err
	}
	q := view.Query{Tenant: tenant}
	for more = true; more && len(targets) < limit; more = q.Cursor != "" {
		q.Limit = min(limit-len(targets), viewPage)
		rows, next, err := a.view.Predictions(ctx, q)
		if err != nil {
			return nil, false, err
		}
		for _, row := range rows {
			targets = append(targets, erase.Target{Source: row.State.Source, ID: row.State.ID})
		}
		q.Cursor = next
	}
	return targets, more, nil
}

// viewPage is the largest page of the view.
const viewPage = 1000

func (a *App) archiveEraser(name string, c *config.Archive) func(context.Context, *erase.Selection, bool) (int, error) {
	return func(ctx context.Context, sel *erase.Selection, dryRun bool) (int, error) {
		var of []archive.Prediction
		for _, t := range sel.Targets() {
			of = append(of, archive.Prediction(t))
		}
		return a.eraseInArchive(ctx, name, c, of, dryRun)
	}
}

func (a *App) eraseInArchive(ctx context.Context, name string, c *config.Archive, of []archive.Prediction, dryRun bool) (int, error) {
	at, err := a.cfg.ArchiveLocation(c)
	if err != nil {
		return 0, err
	}
	return archive.Erase(ctx, archive.Config{Name: name, Location: at, AllowPrivate: c.AllowPrivate}, of, dryRun)
}

// keepOut is around every attempt: nothing of an erased prediction is handled, and what became
// of an attempt that was under way is not kept. Its error would be, and with it the event.
func (s *store) keepOut(next consumers.Handler) consumers.Handler {
	return consumers.HandlerFunc(func(ctx context.Context, ev *bridge.Event) error {
		if s.erased.Has(ev.Source, ev.PredictionID) {
			return nil
		}
		if err := next.Handle(ctx, ev); !s.erased.Has(ev.Source, ev.PredictionID) {
			return err
		}
		return nil
	})
}

// keptOut is the handler of an archive that keeps nothing of predictions that were erased while
// their outputs were on their way.
type keptOut struct {
	*archive.Archive

	erased *erase.Registry
	erase  func(ctx context.Context, ev *bridge.Event)
}

// Handle implements [consumers.Handler].
func (k keptOut) Handle(ctx context.Context, ev *bridge.Event) error {
	err := k.Archive.Handle(ctx, ev)
	if k.erased.Has(ev.Source, ev.PredictionID) {
		k.erase(context.WithoutCancel(ctx), ev)
	}
	return err
}

var _ consumers.Handler = keptOut{}

func (a *App) keepArchived(name string, c *config.Archive, handler *archive.Archive) keptOut {
	return keptOut{handler, a.store.erased, func(ctx context.Context, ev *bridge.Event) {
		ctx, cancel := context.WithTimeout(ctx, lateArchived)
		defer cancel()
		if _, err := a.eraseInArchive(ctx, name, c, []archive.Prediction{{Source: ev.Source, ID: ev.PredictionID}}, false); err != nil {
			// The event is gone, so nothing comes again that could try once more.
			a.log.Named("erase").Error("an archive may have stored outputs of a prediction that was erased meanwhile: erase it again",
				zap.String("consumer", name), zap.String("source", ev.Source), zap.String("prediction", ev.PredictionID), zap.Error(err))
		}
	}}
}

// lateArchived bounds how long an attempt removes what it has just stored.
const lateArchived = time.Minute

func (a *App) eraseInView(ctx context.Context, sel *erase.Selection, dryRun bool) (int, error) {
	var keys []view.Key
	for _, t := range sel.Targets() {
		keys = append(keys, view.Key(t))
	}
	if dryRun {
		return a.view.CountErased(ctx, keys)
	}
	defer a.forgetPages()
	return a.view.Erase(ctx, keys, sel.Gone)
}

// journalPatience is how long an erasure waits for the journal to be forwarded.
const journalPatience = 30 * time.Second

var errJournalWaits = errors.New("records of the journal wait for NATS: see why it does not take them, then repeat the call")

// forwarded returns nil once everything that the journal had is in the streams.
func (s *store) forwarded(ctx context.Context) error {
	if s.journal == nil {
		return nil
	}
	last := s.journal.State().Last
	return s.untilJournal(ctx, func() (bool, error) { return s.journal.Checkpoint().Settled >= last, nil })
}

// trimJournal removes from the disk what the journal has forwarded.
func (s *store) trimJournal(ctx context.Context) error {
	if _, err := s.journal.Renew(ctx); err != nil {
		return err
	}
	return s.untilJournal(ctx, func() (bool, error) {
		if err := s.journal.Trim(); err != nil {
			return false, err
		}
		old, err := s.journal.Old()
		return !old, err
	})
}

func (s *store) untilJournal(ctx context.Context, done func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, journalPatience)
	defer cancel()
	for {
		is, err := done()
		if err != nil || is {
			return err
		}
		if !backoff.Sleep(ctx, 10*time.Millisecond) {
			return errJournalWaits
		}
	}
}

func (s *store) eraseInJournal(ctx context.Context, sel *erase.Selection, dryRun bool) (int, error) {
	match := func(r *journal.Record) bool {
		return sel.Matches(s.cfg.Names(), erase.Message{Subject: r.Subject, Header: r.Header, Body: r.Body})
	}
	n, err := s.journal.DropAside(match, dryRun)
	if err == nil && !dryRun {
		err = s.trimJournal(ctx)
	}
	return n, err
}

func (s *store) eraseInFiles(ctx context.Context, sel *erase.Selection, dryRun bool) (int, error) {
	match := func(subject string, header bridge.Header, body []byte) bool {
		return sel.MatchesRemains(s.cfg.Names(), erase.Message{Subject: subject, Header: header, Body: body})
	}
	return s.embedded.Remains(ctx, s.consume, s.cfg.Names(), match, !dryRun)
}
