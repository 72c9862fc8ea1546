package erase

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"
	"golang.org/x/time/rate"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/jobs"
	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/backoff"
)

const (
	// atOnce is how many predictions of a tenant are erased before that is written down.
	atOnce = 100
	// tries is how often they are tried, with firstPause behind the first try, until a search
	// finds nothing of them.
	tries, firstPause = 3, time.Second
	// passTime bounds one try; passGrace what is left of it when the job is cancelled or its process
	// ends, since what has begun is brought to its end.
	passTime, passGrace = 10 * time.Minute, 15 * time.Second
)

// Kind returns the job that erases all predictions of a tenant, and the deliveries that name it
// and became no event. Its call has the tenant as a hash, and its errors name no prediction: the
// job is kept when these are gone.
func (e *Eraser) Kind() jobs.Kind {
	return jobs.KindOf(func(_ context.Context, _ string, call adminapi.EraseTenant) (jobs.Work, error) {
		return tenantWork{e, func(name string) bool { return name != "" && adminapi.HashedName("", name) == call.Tenant }}, nil
	})
}

// tenantWork erases what is of the tenant.
type tenantWork struct {
	*Eraser

	is func(name string) bool
}

// Plan implements [jobs.Work].
func (w tenantWork) Plan(ctx context.Context, _ bool) (jobs.Plan, error) {
	targets, _, err := w.targets(ctx, math.MaxInt)
	return jobs.Plan{Total: len(targets), Count: len(targets), From: json.RawMessage(`{}`)}, err
}

// Run implements [jobs.Work]. It ends once a pass finds no further prediction.
func (w tenantWork) Run(ctx context.Context, t jobs.Task, each func(context.Context, jobs.Step) error) error {
	limit := max(1, min(atOnce, int(t.Rate)))
	pace := rate.NewLimiter(rate.Limit(t.Rate), limit)
	for more := true; more; {
		if err := pace.WaitN(ctx, limit); err != nil {
			return err
		}
		var n int
		var err error
		if n, more, err = w.pass(ctx, limit); err != nil {
			return err
		}
		step := jobs.Step{From: json.RawMessage(`{}`), Outcomes: map[string]int{adminapi.OutcomeErased: n}}
		if err := each(ctx, step); err != nil {
			return err
		}
	}
	return nil
}

// pass erases at most limit predictions.
func (w tenantWork) pass(ctx context.Context, limit int) (n int, more bool, err error) {
	targets, more, err := w.targets(ctx, limit)
	if err != nil {
		return 0, false, err
	}
	pause := backoff.Backoff{First: firstPause, Max: passGrace}
	for try := 1; ; try++ {
		report, err := w.erase(ctx, targets)
		switch {
		case err != nil:
			return 0, false, err
		case report.Complete:
			return len(targets), more, nil
		case try == tries:
			return 0, false, jobs.Permanent(w.incomplete(report))
		case !pause.Wait(ctx):
			return 0, false, ctx.Err()
		}
	}
}

func (w tenantWork) erase(ctx context.Context, targets []Target) (adminapi.EraseReport, error) {
	w.one.Lock()
	defer w.one.Unlock()
	finishing, cancel := context.WithTimeout(context.WithoutCancel(ctx), passTime)
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(passGrace, cancel) })()
	return w.run(finishing, newSelection(targets, w.is), false)
}

// incomplete logs what a report says, and returns an error without it: texts of places can name
// predictions.
func (w tenantWork) incomplete(r adminapi.EraseReport) error {
	var places []string
	for _, p := range r.Places {
		if p.Error != "" || p.Left > 0 {
			places = append(places, p.Place)
			w.cfg.Logger.Error("not everything of a tenant could be erased", zap.String("place", p.Place), zap.Int("left", p.Left), zap.String("error", p.Error))
		}
	}
	return fmt.Errorf("not everything could be erased in %s: the log of the bridge says why; repair that, and begin the job again", strings.Join(places, ", "))
}

var errEnough = errors.New("enough")

// targets returns the first predictions of the tenant, and whether there are more.
func (w tenantWork) targets(ctx context.Context, limit int) (targets []Target, more bool, err error) {
	targets, more, err = w.cfg.OfTenant(ctx, w.is, limit)
	if err != nil {
		return nil, false, fmt.Errorf("looking up the predictions of the tenant: %w", err)
	}
	found := map[Target]bool{}
	for _, t := range targets {
		found[t] = true
	}
	// The view may be behind.
	_, err = scan(ctx, w.cfg.JS, w.cfg.Names.EventsStream(), 0, true, func(m jetstream.Msg, _ uint64) error {
		h := bridge.Header(m.Headers())
		if t := targetOf(h); t.ID != "" && !found[t] && w.is(tenantOf(h)) {
			if len(targets) >= limit {
				more = true
				return errEnough
			}
			found[t], targets = true, append(targets, t)
		}
		return nil
	})
	if err != nil && !errors.Is(err, errEnough) {
		return nil, false, fmt.Errorf("looking up the predictions of the tenant: %w", err)
	}
	return targets, more, nil
}
