package simulate

import (
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/config"
	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/backoff"
)

const (
	// askers bounds the calls of the API at a time.
	askers = 8
	// leastPause is between two rounds of questions. A round that took longer is followed by a
	// pause of its length.
	leastPause = 500 * time.Millisecond
	// enough predictions that are not settled end a round.
	enough = 64
)

// audit asks the bridge what became of the webhooks of an account.
type audit struct {
	asker
	*plan

	report  *Report
	records []*record
	kinds   map[string]string // of consumers
	// webhooks are the ones of each prediction that can be stored.
	webhooks map[int][]*record

	// bodies of the broken webhooks that were acknowledged, and are not found in the quarantine.
	bodies map[[sha256.Size]byte]*record

	mu   sync.Mutex
	left int // predictions that are not settled
	done int // of the present phase
}

func newAudit(p *plan, records []*record, report *Report) *audit {
	a := &audit{
		asker: asker{p.cfg.API, p.cfg.Source}, plan: p, report: report, records: records,
		webhooks: map[int][]*record{}, bodies: map[[sha256.Size]byte]*record{},
	}
	for _, r := range records {
		if r.quarantined {
			a.bodies[sha256.Sum256(p.body(r.n, r.late, r.at))] = r
		} else {
			a.webhooks[r.n] = append(a.webhooks[r.n], r)
		}
	}
	return a
}

// watch asks in rounds until every event is settled with every consumer and every broken webhook
// is in the quarantine, the wait is over, or stop ends. It returns an error when the bridge could not be asked to the end.
func (a *audit) watch(ctx, stop context.Context) error {
	stop, cancel := context.WithTimeout(stop, a.cfg.Wait)
	defer cancel()
	open := map[int]bool{}
	for n := range a.webhooks {
		open[n] = true
	}
	for {
		began := time.Now()
		err := a.round(ctx, open, enough)
		if err == nil && len(open) == 0 {
			if err = a.quarantine(ctx); err == nil && len(a.bodies) == 0 {
				return nil
			}
		}
		if !backoff.Sleep(stop, max(leastPause, time.Since(began))) {
			return a.round(ctx, open, len(open))
		}
	}
}

// round asks about open predictions that the bridge knows, the first ones first, and removes the
// settled ones. It asks no further once so many are not settled: consumers go in that order too,
// more or less. Those of which nothing can be stored are settled when the bridge does not know
// them; of announced ones it can, although their sender has given them up.
func (a *audit) round(ctx context.Context, open map[int]bool, unsettled int) error {
	var list adminapi.ConsumerList
	if _, err := a.get(ctx, &list, nil, "consumers"); err != nil {
		return err
	}
	a.kinds = map[string]string{}
	for _, c := range list.Consumers {
		a.kinds[c.Name] = c.Kind
	}
	known := map[int]bool{}
	if err := a.predictions(ctx, a.run, func(p adminapi.Prediction) {
		if n, ok := a.serial(p.ID); ok {
			known[n] = true
		}
	}); err != nil {
		return err
	}
	var asking errgroup.Group
	asking.SetLimit(askers)
	var left atomic.Int64
	var settled []int
	for _, n := range slices.Sorted(maps.Keys(open)) {
		if !known[n] {
			if !slices.ContainsFunc(a.webhooks[n], a.expected) {
				delete(open, n)
			}
			continue
		}
		if int(left.Load()) >= unsettled {
			break
		}
		asking.Go(func() error {
			line, found, err := a.timeline(ctx, a.id(n))
			if err != nil || !found {
				return err
			}
			if !a.settled(n, &line) {
				left.Add(1)
				return nil
			}
			a.mu.Lock()
			defer a.mu.Unlock()
			settled = append(settled, n)
			return nil
		})
	}
	err := asking.Wait()
	for _, n := range settled {
		delete(open, n)
	}
	a.mu.Lock()
	a.left = len(open)
	a.mu.Unlock()
	return err
}

// expected reports whether the event of a webhook has to come: it was acknowledged, or its prediction
// was announced, so that the bridge asks for the end.
func (a *audit) expected(r *record) bool {
	return r.acknowledged || r.dropped || r.abandoned && a.cfg.APIListen != ""
}

// settled reports whether nothing more is to come of prediction n by itself.
func (a *audit) settled(n int, line *adminapi.Timeline) bool {
	archived := false
	for _, r := range a.webhooks[n] {
		e := eventOf(line, r, a.late(n))
		if e == nil {
			if a.expected(r) {
				return false
			}
			continue
		}
		for _, l := range e.Lanes {
			at := standings[l.State]
			if at == moving {
				return false
			}
			archived = archived || (at == handled || at == dead) && a.kinds[l.Consumer] == config.KindArchive
		}
	}
	if archived { // what the archive says of it comes a moment later
		for _, o := range line.Prediction.Outputs {
			if o.Custody == bridge.CustodyPending {
				return false
			}
		}
	}
	return true
}

// standing is what a lane's state comes to.
type standing int

const (
	moving  standing = iota // the event waits, and something is to come of it
	resting                 // it waits for a person
	handled
	dead
	notMeant
)

// standings are those of the states of lanes. A state of a later version counts as moving.
var standings = map[string]standing{
	"handled": handled, "settled": handled, "dead_letter": dead, "dead_not_kept": dead, "not_meant": notMeant, "before_start": notMeant,
	"paused": resting, "unread": resting, "orphaned": resting, "missing": resting,
}

// late reports whether prediction n has a webhook that came late.
func (a *audit) late(n int) bool { return len(a.webhooks[n]) > 1 }

// eventOf returns the event of a webhook: the one that its answer named, and without an answer
// the one of its status. It returns nil when there is none.
func eventOf(line *adminapi.Timeline, r *record, several bool) *adminapi.TimelineEvent {
	for i := range line.Events {
		e := &line.Events[i]
		if e.Kind != bridge.KindPrediction {
			continue
		}
		if r.event != "" && e.ID == r.event || r.event == "" && (!several || (e.Status == bridge.StatusProcessing) == r.late) {
			return e
		}
	}
	return nil
}

// progress says how far the audit is.
func (a *audit) progress() (share float64, words string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	all := max(1, len(a.webhooks))
	if a.done > 0 {
		return float64(a.done) / float64(all), fmt.Sprintf("comparing: %d of %d predictions", a.done, all)
	}
	return float64(all-a.left) / float64(all), fmt.Sprintf("waiting for consumers: %d of %d predictions are settled", all-a.left, all)
}
