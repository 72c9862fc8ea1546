package durable

import (
	"context"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookspan/hookspan/internal/streamread"
)

// Skips returns how many events wait for the durable that the filter of d does not pick any
// more. It changes nothing. The error wraps [ErrMissing] when there is no durable.
func (d Definition) Skips(ctx context.Context, js jetstream.JetStream) (uint64, error) {
	d, stream, err := d.open(ctx, js)
	if err != nil {
		return 0, err
	}
	seen, err := d.look(ctx, js)
	if err != nil {
		return 0, err
	}
	return d.skipped(ctx, stream, seen.info())
}

// skipped returns how many undelivered events of the durable d does not pick. Delivered and
// unacknowledged events come again whatever the filter.
func (d Definition) skipped(ctx context.Context, stream *streamread.Stream, info *jetstream.ConsumerInfo) (uint64, error) {
	old := filterOf(info.Config)
	if info.NumPending == 0 || sameSubjects(old, d.Subjects()) {
		return 0, nil
	}
	kept := uint64(0)
	if both := common(old, d.Subjects()); len(both) > 0 {
		var err error
		if kept, err = streamread.Count(ctx, stream, both, info.Delivered.Stream+1); err != nil {
			return 0, err
		}
	}
	return info.NumPending - min(kept, info.NumPending), nil
}

// everything is a pattern that every subject matches.
const everything = ">"

// common returns patterns that together match what both lists match. The patterns of a list do
// not overlap, as in the filter of a durable; so neither do the results.
func common(a, b []string) []string {
	if len(a) == 0 {
		a = []string{everything}
	}
	var out []string
	for _, p := range a {
		for _, q := range b {
			if both, ok := intersect(p, q); ok {
				out = append(out, both)
			}
		}
	}
	return out
}

// intersect returns the pattern of the subjects that both NATS patterns match, false if there
// are none.
func intersect(a, b string) (string, bool) {
	p, q := strings.Split(a, "."), strings.Split(b, ".")
	var out []string
	for i := 0; ; i++ {
		switch {
		case i == len(p) && i == len(q):
			return strings.Join(out, "."), true
		case i == len(p) || i == len(q):
			return "", false // a pattern that has ended matches no further token
		case p[i] == everything:
			return strings.Join(append(out, q[i:]...), "."), true
		case q[i] == everything:
			return strings.Join(append(out, p[i:]...), "."), true
		case p[i] == "*" || p[i] == q[i]:
			out = append(out, q[i])
		case q[i] == "*":
			out = append(out, p[i])
		default:
			return "", false
		}
	}
}
