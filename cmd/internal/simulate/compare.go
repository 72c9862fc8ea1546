package simulate

import (
	"bytes"
	"context"
	"crypto/sha256"
	"maps"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/fakesender"
)

// compare reads every event of the run and holds it against what was sent. What it has found is in
// the report also when it returns an error, since the bridge could not be asked to the end.
func (a *audit) compare(ctx context.Context) error {
	found := findings{audit: a, consumers: consumers{}}
	err := found.look(ctx)
	found.tell()
	return err
}

func (f *findings) look(ctx context.Context) error {
	for name, kind := range f.kinds {
		f.consumers.named(name).Kind = kind
	}
	var asking errgroup.Group
	asking.SetLimit(askers)
	for n := range f.webhooks {
		asking.Go(func() error {
			err := f.prediction(ctx, n)
			f.mu.Lock()
			f.done++
			f.mu.Unlock()
			return err
		})
	}
	if err := asking.Wait(); err != nil {
		return err
	}
	if err := f.predictions(ctx, f.run+forgedMark, func(p adminapi.Prediction) {
		f.corrupt.add("%s was forged, and is there", p.ID)
	}); err != nil {
		return err
	}
	return f.seek(ctx)
}

// clockSlack is how far the clocks of the bridge and of this machine may be apart.
const clockSlack = time.Hour

// findings are what is found. The mutex of the audit guards them.
type findings struct {
	*audit

	consumers consumers
	missing   []*record // acknowledged, and the view knows no event
	// In words: untold are events of which the bridge does not say how they stand with a
	// consumer.
	lost, unfound, corrupt, givenUp, untold named
	// rescued are abandoned webhooks whose end was polled.
	rescued int
}

// prediction compares the events of prediction n.
func (f *findings) prediction(ctx context.Context, n int) error {
	id := f.id(n)
	line, _, err := f.timeline(ctx, id)
	if err != nil {
		return err
	}
	events := map[*adminapi.TimelineEvent]bool{}
	for _, r := range f.webhooks[n] {
		e := eventOf(&line, r, f.late(n))
		events[e] = true
		var stored adminapi.EventDetail
		there := false
		if e != nil {
			if stored, there, err = f.event(ctx, e.Sequence); err != nil {
				return err
			}
		}
		f.mu.Lock()
		switch {
		case there:
			f.stored(id, r, &line, e, &stored)
		case r.dropped:
			f.unfound.add("the webhook of %s was dropped, and the bridge has not found its end: poll_after of the source and --wait say how long that takes", id)
		case e != nil && r.acknowledged:
			f.lost.add("%s was acknowledged, and event %d of it (%s) is not in the stream any more", id, e.Sequence, e.ID)
		case r.acknowledged:
			f.missing = append(f.missing, r)
		}
		f.mu.Unlock()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if status := f.status(n); line.Events != nil && !f.broken(n) && bridge.Terminal(status) && line.Prediction.Status != status && eventOf(&line, f.webhooks[n][0], f.late(n)) != nil {
		f.corrupt.add("%s is %s for the bridge, and was sent as %s", id, line.Prediction.Status, status)
	}
	for i := range line.Events {
		// One that is there twice is found beside what was stored.
		if e := &line.Events[i]; e.Kind == bridge.KindPrediction && !events[e] && !slices.ContainsFunc(f.webhooks[n], func(r *record) bool { return r.event == e.ID }) {
			f.corrupt.add("event %s of %s is there, and was not sent", e.ID, id)
		}
	}
	f.archived(n, &line)
	return nil
}

// stored compares an event, and counts where it stands.
func (f *findings) stored(id string, r *record, line *adminapi.Timeline, e *adminapi.TimelineEvent, stored *adminapi.EventDetail) {
	polled := e.Origin == bridge.OriginPoll
	switch {
	case r.acknowledged:
		f.report.Stored++
	case r.dropped:
		f.report.Polled++
	case r.abandoned && polled:
		f.report.Polled++
		f.rescued++
	default:
		f.report.Unacknowledged++
	}
	body := f.body(r.n, r.late, r.at)
	if polled {
		body = f.answer(r.n, r.at)
	}
	copies := 0
	for _, other := range line.Events {
		if other.ID == e.ID && other.Kind == e.Kind {
			copies++
		}
	}
	event, err := bridge.DecodeEvent(stored.Header, stored.Bytes())
	switch {
	case err != nil:
		f.corrupt.add("event %d of %s cannot be read: %v", e.Sequence, id, err)
	case event.ID != e.ID || event.PredictionID != id:
		f.corrupt.add("event %d of %s is %q for the view, and %q of %q in the stream", e.Sequence, id, e.ID, event.ID, event.PredictionID)
	case !bytes.Equal(stored.Bytes(), body):
		f.corrupt.add("event %d of %s has another body (%d bytes) than was sent (%d bytes)", e.Sequence, id, len(stored.Bytes()), len(body))
	case polled && event.Signature != "", !polled && !f.cfg.Sender.Proved(fakesender.Message{Prediction: id, Body: body}, f.cfg.Secret, event.Signature, event.Proof):
		f.corrupt.add("event %d of %s has another signature than was sent", e.Sequence, id)
	case copies > 1:
		f.corrupt.add("event %s of %s is there %d times", e.ID, id, copies)
	}
	for _, name := range slices.Sorted(maps.Keys(f.kinds)) {
		if !slices.ContainsFunc(e.Lanes, func(l adminapi.Lane) bool { return l.Consumer == name }) {
			f.untold.add("the bridge does not say how event %d of %s stands with consumer %s", e.Sequence, id, name)
		}
	}
	for _, l := range e.Lanes {
		c := f.consumers.named(l.Consumer)
		switch standings[l.State] {
		case handled:
			c.Handled++
			continue
		case notMeant:
			c.NotMeant++
			continue
		case dead:
			c.Dead++
		default:
			c.Waiting++
		}
		c.because(Why{Prediction: id, State: l.State, Words: l.Words, Reason: l.Reason, Remedy: l.Remedy})
	}
}

// archived compares the outputs of prediction n with those that were served.
func (f *findings) archived(n int, line *adminapi.Timeline) {
	states := line.Prediction.Outputs
	for i, name := range f.outputsOf(n) {
		if line.Events == nil {
			return // the prediction is not there
		}
		out := &f.report.Outputs
		out.Served++
		if i >= len(states) {
			out.Waiting++
			f.untold.add("the bridge does not know of output %s", name)
			continue
		}
		switch states[i].Custody {
		case bridge.CustodyStored:
			out.Archived++
			if sum := f.sum(name); states[i].SHA256 != sum {
				f.corrupt.add("output %s was archived with the checksum %.64s, and was served with %s", name, states[i].SHA256, sum)
			}
		case bridge.CustodyFailed, bridge.CustodyExpired:
			out.GivenUp++
			if f.sum(name) != "" {
				f.givenUp.add("output %s was given up, although it is there: %s", name, states[i].Error)
			}
		default:
			out.Waiting++
		}
	}
}

// quarantine looks for the broken webhooks that were acknowledged, and are not found yet.
func (a *audit) quarantine(ctx context.Context) error {
	sizes := map[int64]bool{}
	for _, r := range a.bodies {
		sizes[int64(len(a.body(r.n, r.late, r.at)))] = true
	}
	if len(sizes) == 0 {
		return nil
	}
	return a.quarantined(ctx, func(d adminapi.KeptDelivery) (more, wanted bool) {
		return len(a.bodies) > 0 && d.ReceivedAt.After(a.records[0].at.Add(-clockSlack)), sizes[d.BodyBytes]
	}, func(body []byte) {
		if sum := sha256.Sum256(body); a.bodies[sum] != nil {
			delete(a.bodies, sum)
			a.report.Quarantined++
		}
	})
}
