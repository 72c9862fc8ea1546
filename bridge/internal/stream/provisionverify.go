package stream

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookspan/hookspan/internal/streams"
)

// Inspected is a stream beside what it should be.
type Inspected struct {
	Name string
	// Info is nil when the stream does not exist.
	Info *jetstream.StreamInfo
	// At is when the answer came, and Took how long it took.
	At   time.Time
	Took time.Duration
	// Differences are the settings that [Provision] would change.
	Differences []string
	// Unfit wraps [ErrUnfit] when the stream cannot keep its promises as it is.
	Unfit error
}

// Away returns the names of the servers whose replica is offline or behind.
func (i *Inspected) Away() (servers []string) {
	if i.Info == nil || i.Info.Cluster == nil {
		return nil
	}
	for _, peer := range i.Info.Cluster.Replicas {
		if peer.Offline || !peer.Current {
			servers = append(servers, peer.Name)
		}
	}
	return servers
}

// Inspect looks at every stream and changes nothing. The error is about NATS as a whole.
func Inspect(ctx context.Context, js jetstream.JetStream, cfg streams.Config) ([]Inspected, error) {
	var out []Inspected
	for _, want := range cfg.All() {
		asked := time.Now()
		stream, err := js.Stream(ctx, want.Name)
		one := Inspected{Name: want.Name, At: time.Now()}
		one.Took = one.At.Sub(asked)
		switch {
		case errors.Is(err, jetstream.ErrStreamNotFound):
			if want.Name == cfg.Names.EventsStream() {
				one.Unfit = fmt.Errorf("%w: it does not exist: make it with hookspan provision", ErrUnfit)
			}
		case err != nil:
			return nil, fmt.Errorf("looking at stream %s: %w", want.Name, err)
		default:
			one.Info = stream.CachedInfo()
			have := one.Info.Config
			one.Unfit = errors.Join(checkUnchangeable(have, want), checkKeeps(have, want))
			if !ofNewer(have) {
				_, one.Differences = merge(have, withFormat(want))
			}
		}
		out = append(out, one)
	}
	return out, nil
}

// Verify returns the changes that [Provision] would make, and changes nothing: another program
// provisions the streams. The error wraps [ErrUnfit] when the stream of events is missing, or
// when a stream cannot keep its promises as it is.
func Verify(ctx context.Context, js jetstream.JetStream, cfg streams.Config) ([]Change, error) {
	var changes []Change
	var unfit error
	if err := checkVersion(js.Conn()); err != nil {
		return nil, err
	}
	inspected, err := Inspect(ctx, js, cfg)
	if err != nil {
		return nil, err
	}
	for _, one := range inspected {
		if one.Info == nil || len(one.Differences) > 0 {
			changes = append(changes, Change{Stream: one.Name, Created: one.Info == nil, Differences: one.Differences})
		}
		if one.Unfit != nil {
			unfit = errors.Join(unfit, fmt.Errorf("stream %s: %w", one.Name, one.Unfit))
		}
	}
	return changes, unfit
}

// checkKeeps refuses settings with which a stream loses acknowledged messages, or does not take
// them. [Provision] changes such settings.
func checkKeeps(have, want jetstream.StreamConfig) error {
	const remedy = "change it with hookspan provision"
	switch {
	case have.NoAck:
		return fmt.Errorf("%w: it acknowledges nothing: %s", ErrUnfit, remedy)
	case have.Discard != want.Discard && want.Discard == jetstream.DiscardNew:
		return fmt.Errorf("%w: it drops its oldest message when it is full: %s", ErrUnfit, remedy)
	case have.MaxMsgsPerSubject > 0 && !have.DiscardNewPerSubject && want.Discard == jetstream.DiscardNew && want.MaxMsgsPerSubject == 0:
		return fmt.Errorf("%w: it drops the oldest message of a subject that has more than %d: %s", ErrUnfit, have.MaxMsgsPerSubject, remedy)
	}
	for _, subject := range want.Subjects {
		if !slices.Contains(have.Subjects, subject) {
			return fmt.Errorf("%w: it does not take %s: %s", ErrUnfit, subject, remedy)
		}
	}
	return nil
}
