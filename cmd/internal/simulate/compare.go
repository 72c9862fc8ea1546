package simulate

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/signing"
)

// compare reads every event of the run and holds it against what was sent.
func (a *audit) compare(ctx context.Context) error {
	found := findings{audit: a, consumers: consumers{}}
	for name, kind := range a.kinds {
		found.consumers.named(name).Kind = kind
	}
	var asking errgroup.Group
	asking.SetLimit(askers)
	for n := range a.webhooks {
		asking.Go(func() error {
			err := found.prediction(ctx, n)
			a.mu.Lock()
			a.done++
			a.mu.Unlock()
			return err
		})
	}
	if err := asking.Wait(); err != nil {
		return err
	}
	if err := a.predictions(ctx, a.run+forgedMark, func(p adminapi.Prediction) {
		found.corrupt("%s was forged, and is there", p.ID)
	}); err != nil {
		return err
	}
	if err := found.quarantine(ctx); err != nil {
		return err
	}
	return found.tell(ctx)
}

// clockSlack is how far the clocks of the bridge and of this machine may be apart.
const clockSlack = time.Hour

// findings are what is found. The mutex of the audit guards them.
type findings struct {
	*audit

	consumers consumers
	missing   []*record // acknowledged, and the view knows no event
	// lost, corrupts and givenUp are in words.
	lost, corrupts, givenUp []string
}

func (f *findings) corrupt(format string, args ...any) {
	f.report.Corrupt++
	f.corrupts = append(f.corrupts, fmt.Sprintf(format, args...))
}

// prediction compares the events of prediction n.
func (f *findings) prediction(ctx context.Context, n int) error {
	line, id := f.told[n], f.id(n)
	if line == nil {
		line = &adminapi.Timeline{}
	}
	for _, r := range f.webhooks[n] {
		e := eventOf(line, r, f.late(n))
		var stored adminapi.EventDetail
		there := false
		if e != nil {
			var err error
			if stored, there, err = f.event(ctx, e.Sequence); err != nil {
				return err
			}
		}
		body := f.body(n, r.late, r.at)
		f.mu.Lock()
		switch {
		case there:
			f.stored(id, r, line, e, &stored, body)
		case e != nil && r.acknowledged:
			f.lost = append(f.lost, fmt.Sprintf("%s was acknowledged, and event %d of it (%s) is not in the stream any more", id, e.Sequence, e.ID))
		case r.acknowledged:
			f.missing = append(f.missing, r)
		}
		f.mu.Unlock()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if status := f.status(n); line.Events != nil && !f.broken(n) && bridge.Terminal(status) && line.Prediction.Status != status && eventOf(line, f.webhooks[n][0], f.late(n)) != nil {
		f.corrupt("%s is %s for the bridge, and was sent as %s", id, line.Prediction.Status, status)
	}
	f.archived(n, line)
	return nil
}

// stored compares an event, and counts where it stands.
func (f *findings) stored(id string, r *record, line *adminapi.Timeline, e *adminapi.TimelineEvent, stored *adminapi.EventDetail, body []byte) {
	if r.acknowledged {
		f.report.Stored++
	} else {
		f.report.Unacknowledged++
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
		f.corrupt("event %d of %s cannot be read: %v", e.Sequence, id, err)
	case event.ID != e.ID || event.PredictionID != id:
		f.corrupt("event %d of %s is %q for the view, and %q of %q in the stream", e.Sequence, id, e.ID, event.ID, event.PredictionID)
	case !bytes.Equal(stored.Bytes(), body):
		f.corrupt("event %d of %s has another body (%d bytes) than was sent (%d bytes)", e.Sequence, id, len(stored.Bytes()), len(body))
	case event.Signature != signing.Sign(body, f.cfg.Secret):
		f.corrupt("event %d of %s has another signature than was sent", e.Sequence, id)
	case copies > 1:
		f.corrupt("event %s of %s is there %d times", e.ID, id, copies)
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
	for i, name := range f.served(n) {
		if i >= len(states) {
			return // the prediction is not there
		}
		out := &f.report.Outputs
		out.Served++
		switch states[i].Custody {
		case bridge.CustodyStored:
			out.Archived++
			if sum := f.sum(name); states[i].SHA256 != sum {
				f.corrupt("output %s was archived with the checksum %.64s, and was served with %s", name, states[i].SHA256, sum)
			}
		case bridge.CustodyFailed, bridge.CustodyExpired:
			out.GivenUp++
			if f.sum(name) != "" {
				f.givenUp = append(f.givenUp, fmt.Sprintf("output %s was given up, although it is there: %s", name, states[i].Error))
			}
		default:
			out.Waiting++
		}
	}
}

// quarantine looks for the broken webhooks that were acknowledged.
func (f *findings) quarantine(ctx context.Context) error {
	want := map[[sha256.Size]byte]*record{}
	sizes := map[int64]bool{}
	for _, r := range f.records {
		if r.quarantined {
			body := f.body(r.n, r.late, r.at)
			want[sha256.Sum256(body)], sizes[int64(len(body))] = r, true
		}
	}
	if len(want) == 0 {
		return nil
	}
	all := len(want)
	err := f.quarantined(ctx, func(d adminapi.KeptDelivery) (more, wanted bool) {
		return len(want) > 0 && d.ReceivedAt.After(f.records[0].at.Add(-clockSlack)), sizes[d.BodyBytes]
	}, func(body []byte) { delete(want, sha256.Sum256(body)) })
	f.report.Quarantined = all - len(want)
	for _, r := range want {
		f.lost = append(f.lost, fmt.Sprintf("the webhook of %s was acknowledged as quarantined, and is not in the quarantine", f.id(r.n)))
	}
	return err
}
