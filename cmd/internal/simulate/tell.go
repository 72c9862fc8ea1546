package simulate

import (
	"context"
	"fmt"
	"slices"

	"github.com/hookspan/hookspan/bridge/config"
)

// because keeps one example of each state.
func (c *ConsumerReport) because(w Why) {
	if !slices.ContainsFunc(c.Why, func(have Why) bool { return have.State == w.State }) {
		c.Why = append(c.Why, w)
	}
}

// tell completes the report.
func (f *findings) tell(ctx context.Context) error {
	if err := f.seek(ctx); err != nil {
		return err
	}
	r := f.report
	r.Lost, r.Consumers = len(f.lost), f.consumers.sorted()
	r.Wrong = append(append(r.Wrong, some(f.lost)...), some(f.corrupts)...)
	r.Notes = append(r.Notes, some(f.givenUp)...)
	if r.Unacknowledged > 0 {
		r.note("%d webhooks are stored although no answer said so: the answers were lost on their way", r.Unacknowledged)
	}
	return nil
}

// seek looks for what was acknowledged and is not in the view: in the journal first and then in
// the stream, as it moves from one to the other.
func (f *findings) seek(ctx context.Context) error {
	if len(f.missing) == 0 {
		return nil
	}
	journal, err := f.journal(ctx)
	if err != nil {
		return err
	}
	inView := 0
	for _, r := range f.missing {
		there, err := f.stores(ctx, f.id(r.n), r.event)
		switch {
		case err != nil:
			return err
		case there:
			inView++
		case journal == 0:
			f.lost = append(f.lost, fmt.Sprintf("%s was acknowledged as event %s, and is not in the stream", f.id(r.n), r.event))
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
func (r *Report) sender(a *account, span fmt.Stringer) {
	r.Wrong = append(r.Wrong, some(a.strange)...)
	r.Corrupt += len(a.strange)
	if r.Abandoned == 0 {
		return
	}
	words := fmt.Sprintf("%d webhooks were given up after four attempts over %v, as the provider does: no further attempt comes", r.Abandoned, span)
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
	switch {
	case len(archives) == 0:
		r.note("the bridge has no consumer of kind archive, so nothing fetches outputs: --outputs 0 leaves them out")
	case s.asked.Load() == 0:
		r.note("the bridge has not fetched any output from %s. Where it is not allowed to, its configuration needs, for trials only:\n"+
			"  consumers: {%s: {kind: archive, hosts: [cdn.get3w.com, %q], allow_private: true}}", s.base, archives[0].Name, s.host)
	default:
		r.note("%d outputs were not archived within --wait, and are served no more", r.Outputs.Waiting)
	}
}
