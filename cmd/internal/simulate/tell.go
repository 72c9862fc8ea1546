package simulate

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/hookspan/hookspan/bridge/config"
	"github.com/hookspan/hookspan/internal/consumerstate"
	"github.com/hookspan/hookspan/internal/sending"
)

// because keeps one example of each state.
func (c *ConsumerReport) because(w Why) {
	if !slices.ContainsFunc(c.Why, func(have Why) bool { return have.State == w.State }) {
		c.Why = append(c.Why, w)
	}
}

// tell completes the report with what was found.
func (f *findings) tell() {
	r := f.report
	r.rescued = f.rescued
	r.Lost, r.Corrupt, r.Consumers = f.lost.count, r.Corrupt+f.corrupt.count, f.consumers.sorted()
	r.Wrong = slices.Concat(r.Wrong, f.lost.some(), f.unfound.some(), f.corrupt.some(), f.untold.some())
	r.Notes = append(r.Notes, f.givenUp.some()...)
	if r.Unacknowledged > 0 {
		r.note("%d webhooks are stored although no answer said so: the answers were lost on their way", r.Unacknowledged)
	}
	if r.Lost > 0 && r.Lost == r.Acknowledged {
		r.note("the bridge that was asked has nothing of all that was sent: is it the one to which --url leads?")
	}
}

// seek looks for what was acknowledged and is neither in the view nor in the quarantine: in the
// journal first and then in the streams, as it moves from one to the other.
func (f *findings) seek(ctx context.Context) error {
	if err := f.quarantine(ctx); err != nil || len(f.missing)+len(f.bodies) == 0 {
		return err
	}
	journal, err := f.journal(ctx)
	if err == nil {
		err = f.quarantine(ctx)
	}
	if err != nil {
		return err
	}
	if journal == 0 {
		for _, r := range f.bodies {
			f.lost.add("the webhook of %s was acknowledged as quarantined, and is not in the quarantine", f.id(r.n))
		}
	} else {
		f.report.Waiting += len(f.bodies)
	}
	inView := 0
	for _, r := range f.missing {
		there, err := f.stores(ctx, f.id(r.n), r.event)
		switch {
		case err != nil:
			return err
		case there:
			inView++
		case r.event == "":
			f.lost.add("%s was acknowledged, and the bridge has not found its end", f.id(r.n))
			continue
		case journal == 0:
			f.lost.add("%s was acknowledged as event %s, and is not in the stream", f.id(r.n), r.event)
			continue
		}
		f.report.Waiting++
	}
	if waiting := f.report.Waiting; waiting > 0 {
		f.report.Wrong = append(f.report.Wrong, fmt.Sprintf("acknowledged and not accounted for: %d. In the stream, but not in the view yet: %d; records in the journal "+
			"of the bridge: %d. Use a longer --wait, and see hookspan view status and hookspan journal show", waiting, inView, journal))
	}
	return nil
}

// sender adds what the sender's side shows: whom it gave up on, and why.
func (r *Report) sender(a *account, schedule *sending.Schedule, behind time.Duration) {
	r.Wrong = slices.Concat(a.strange.some(), r.Wrong)
	r.Corrupt += a.strange.count
	if behind > time.Second {
		r.note("predictions ended up to %v later than --rate asks for: the answers, or this machine, held the sender up", behind.Round(time.Second))
	}
	if r.Abandoned == 0 {
		return
	}
	words := fmt.Sprintf("%d webhooks were given up after at most %d attempts over %v, as the provider does: no further attempt comes", r.Abandoned, len(schedule.Gaps)+1, schedule.Span(0))
	if r.Abandoned == r.rescued {
		r.note("%s; the bridge has asked how each of them ended", words)
		return
	}
	if refused := r.Answers["401"]; refused > 0 {
		words += "; the bridge answered 401, so --secret is not the one of its source, or the address lacks a path token (--url)"
	}
	r.Wrong = append(r.Wrong, words)
}

// served says why outputs were not archived, if the server shows it.
func (r *Report) served(s *outputServer) {
	if r.Outputs.Waiting == 0 {
		return
	}
	archives := slices.DeleteFunc(slices.Clone(r.Consumers), func(c ConsumerReport) bool { return c.Kind != config.KindArchive })
	blocked := slices.ContainsFunc(archives, func(c ConsumerReport) bool {
		return slices.ContainsFunc(c.Why, func(w Why) bool { return w.State == string(consumerstate.Blocked) })
	})
	switch {
	case len(archives) == 0:
		r.note("the bridge has no consumer of kind archive, so nothing fetches outputs: --outputs 0 leaves them out")
	case s.asked.Load() == 0 && !blocked: // which says why
		r.note("the bridge has not fetched any output from %s. Where it is not allowed to, its configuration needs, for trials only:\n"+
			"  consumers: {%s: {kind: archive, hosts: [cdn.get3w.com, %q], allow_private: true}}", s.base, archives[0].Name, s.host)
	default:
		r.note("%d outputs were not archived within --wait, and are served no more", r.Outputs.Waiting)
	}
}
