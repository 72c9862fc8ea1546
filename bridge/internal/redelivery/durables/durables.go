// Package durables does what operators do with consumers: show where each stands, pause,
// resume, seek and remove it. A consumer is its durable, whatever program reads it.
package durables

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/consumerstate"
	"github.com/hookspan/hookspan/internal/streamread"
)

const forever = 100 * 365 * 24 * time.Hour

// Durables manages all consumers. It is safe for concurrent use.
type Durables struct {
	js    jetstream.JetStream
	names bridge.Names
	kinds map[string]string
}

// New returns the consumers that js has. kinds are the kinds of the configured consumers, by
// name.
func New(js jetstream.JetStream, names bridge.Names, kinds map[string]string) *Durables {
	return &Durables{js: js, names: names, kinds: kinds}
}

// List returns the state of every consumer, by name: the durables of the stream of events, and
// configured consumers without a durable.
func (d *Durables) List(ctx context.Context) ([]adminapi.ConsumerState, error) {
	stream, err := d.stream(ctx)
	if err != nil {
		return nil, err
	}
	dead, err := d.dead(ctx, d.names.DeadSubjects()[0])
	if err != nil {
		return nil, err
	}
	var out []adminapi.ConsumerState
	lister := stream.ListConsumers(ctx)
	for info := range lister.Info() {
		if info.Config.Durable != "" {
			out = append(out, d.state(info))
		}
	}
	if err := lister.Err(); err != nil {
		return nil, fmt.Errorf("listing consumers: %w", err)
	}
	for name, kind := range d.kinds {
		if !slices.ContainsFunc(out, func(s adminapi.ConsumerState) bool { return s.Name == name }) {
			out = append(out, adminapi.ConsumerState{Name: name, Kind: kind, Missing: true})
		}
	}
	reports, err := d.reports(ctx)
	if err != nil {
		return nil, err
	}
	for i := range out {
		out[i].Dead = dead[out[i].Name]
		if out[i].Later, err = d.later(ctx, out[i].Name); err != nil {
			return nil, err
		}
		out[i].Judge(reports[out[i].Name])
	}
	slices.SortFunc(out, func(a, b adminapi.ConsumerState) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// Pause stops deliveries to a consumer until that time, or until [Durables.Resume] if until is
// zero, also across restarts. Workers finish what they have.
func (d *Durables) Pause(ctx context.Context, name string, until time.Time) error {
	if until.IsZero() {
		until = time.Now().Add(forever)
	}
	stream, err := d.stream(ctx)
	if err != nil {
		return err
	}
	if _, err := stream.PauseConsumer(ctx, name, until); err != nil {
		return fmt.Errorf("pausing consumer %s: %w", name, known(err))
	}
	return nil
}

// Resume ends the pause of a consumer.
func (d *Durables) Resume(ctx context.Context, name string) error {
	stream, err := d.stream(ctx)
	if err != nil {
		return err
	}
	if _, err := stream.ResumeConsumer(ctx, name); err != nil {
		return fmt.Errorf("resuming consumer %s: %w", name, known(err))
	}
	return nil
}

// Remove removes a consumer: its durable, its waiting retries and its attempt records. Dead
// letters stay. A dry run changes nothing. The error wraps [adminapi.ErrConfigured] for a
// configured consumer.
func (d *Durables) Remove(ctx context.Context, name string, dryRun bool) (adminapi.RemovedConsumer, error) {
	if _, ok := d.kinds[name]; ok {
		return adminapi.RemovedConsumer{}, fmt.Errorf("removing consumer %s: %w", name, adminapi.ErrConfigured)
	}
	stream, err := d.stream(ctx)
	if err != nil {
		return adminapi.RemovedConsumer{}, err
	}
	durable, err := stream.Consumer(ctx, name)
	if err != nil {
		return adminapi.RemovedConsumer{}, fmt.Errorf("removing consumer %s: %w", name, known(err))
	}
	info := durable.CachedInfo()
	removed := adminapi.RemovedConsumer{Unsettled: info.NumPending + uint64(info.NumAckPending)}
	if !dryRun {
		// First, so that nothing is retried any more.
		if err := stream.DeleteConsumer(ctx, name); err != nil {
			return removed, fmt.Errorf("removing consumer %s: %w", name, known(err))
		}
	}
	for _, subject := range []string{d.names.LaterOf(name), d.names.DueOf(name)} {
		n, err := d.clear(ctx, d.names.LaterStream(), subject, dryRun)
		if err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
			return removed, err
		}
		removed.Later += n
	}
	if removed.Remembered, err = d.clear(ctx, d.names.AttemptsStream(), d.names.AttemptsSubject(d.names.AttemptsPrefix(name)+">"), dryRun); err != nil {
		return removed, err
	}
	dead, err := d.dead(ctx, d.names.AllDead(name))
	removed.Dead = dead[name]
	return removed, err
}

// clear purges a subject pattern of a stream, and returns how many messages it had.
func (d *Durables) clear(ctx context.Context, name, subject string, dryRun bool) (uint64, error) {
	stream, subjects, err := d.subjects(ctx, name, subject)
	if err != nil {
		return 0, err
	}
	var count uint64
	for _, n := range subjects {
		count += n
	}
	if dryRun || count == 0 {
		return count, nil
	}
	if err := stream.Purge(ctx, jetstream.WithPurgeSubject(subject)); err != nil {
		return 0, fmt.Errorf("purging stream %s of a consumer's messages: %w", name, err)
	}
	return count, nil
}

func (d *Durables) state(info *jetstream.ConsumerInfo) adminapi.ConsumerState {
	s := adminapi.ConsumerState{
		Name: info.Name, Kind: cmp.Or(d.kinds[info.Name], info.Config.Metadata[consumerstate.MetadataKind]), Filter: info.Config.FilterSubjects, Created: info.Created,
		Pending: info.NumPending, Unsettled: info.NumAckPending, Redelivered: info.NumRedelivered, Waiting: info.NumWaiting,
		Delivered: info.Delivered.Stream, Acknowledged: info.AckFloor.Stream,
	}
	_, configured := d.kinds[info.Name]
	s.Orphaned = !configured && s.Kind != ""
	if info.NumAckPending == 0 {
		// The floor does not follow events that the filter skips.
		s.Acknowledged = max(s.Acknowledged, s.Delivered)
	}
	s.StartSeq, s.StartTime = startOf(info)
	if info.Config.MaxDeliver > 0 {
		// The server also counts events that wait for another delivery.
		s.Exhausted = max(0, info.NumRedelivered-info.NumAckPending)
	}
	if info.Config.FilterSubject != "" {
		s.Filter = []string{info.Config.FilterSubject}
	}
	if until := info.Config.PauseUntil; until != nil && until.After(time.Now()) {
		s.PausedUntil = *until
	}
	if last := info.Delivered.Last; last != nil {
		s.LastDelivered = *last
	}
	s.Unread = unread(info)
	return s
}

// startOf returns where a durable began. Of one that began with the last events it is unknown.
func startOf(info *jetstream.ConsumerInfo) (seq uint64, at time.Time) {
	if info.Config.OptStartTime != nil {
		at = *info.Config.OptStartTime
	}
	if info.Config.DeliverPolicy == jetstream.DeliverNewPolicy {
		at = info.Created
	}
	return info.Config.OptStartSeq, at
}

// dead returns the number of dead letters by consumer, for a subject pattern.
func (d *Durables) dead(ctx context.Context, pattern string) (map[string]uint64, error) {
	_, subjects, err := d.subjects(ctx, d.names.DeadStream(), pattern)
	out := map[string]uint64{}
	for subject, n := range subjects {
		out[d.names.DeadConsumer(subject)] += n
	}
	return out, err
}

// subjects returns a stream with its message counts by subject, for a pattern.
func (d *Durables) subjects(ctx context.Context, name, pattern string) (*streamread.Stream, map[string]uint64, error) {
	stream, err := streamread.Open(ctx, d.js, name)
	if err != nil {
		return nil, nil, err
	}
	info, err := stream.Info(ctx, jetstream.WithSubjectFilter(pattern))
	if err != nil {
		return nil, nil, fmt.Errorf("looking at stream %s: %w", name, err)
	}
	return stream, info.State.Subjects, nil
}

func (d *Durables) stream(ctx context.Context) (*streamread.Stream, error) {
	return streamread.Open(ctx, d.js, d.names.EventsStream())
}

// known turns errors of the server into those that callers compare with.
func known(err error) error {
	if errors.Is(err, jetstream.ErrConsumerNotFound) || errors.Is(err, jetstream.ErrConsumerDoesNotExist) || errors.Is(err, jetstream.ErrInvalidConsumerName) {
		return fmt.Errorf("%w: %w", adminapi.ErrNoConsumer, err)
	}
	return err
}
