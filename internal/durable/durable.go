// Package durable makes the durable of a consumer in NATS, and keeps it what it is to be:
// bridges do that for the consumers of their configuration, and package consumers for its own.
package durable

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"github.com/hookspan/hookspan/bridge"
)

const (
	// MaxAckPending is how many events of one durable may be with workers or
	// waiting for their next attempt. Waiting ones count, so it is far above any
	// concurrency.
	MaxAckPending = 10_000
	// unlimited is how the server writes a limit that is not set.
	unlimited = -1
)

// DefaultLease is the default of [Definition.Lease].
const DefaultLease = 30 * time.Second

// MinLease is the shortest lease: there must be time to settle an event within it.
const MinLease = time.Second

// StartPoint says which events a new durable begins with. The zero value begins with what is
// stored after the durable was created.
type StartPoint struct {
	// All begins with the oldest event that is still stored.
	All bool
	// At begins with what was stored at that time or later.
	At time.Time
}

// Definition says what the durable of a consumer is to be like. Only Name is required.
type Definition struct {
	Name string
	// Filter picks the events, by default completed and failed predictions.
	Filter bridge.Filter
	Start  StartPoint
	// Lease is how long the server waits for a sign of life, default [DefaultLease].
	Lease time.Duration
	// MaxDeliveries is after how many deliveries the server delivers an event no
	// more, which it tells in an advisory. Zero is no limit: a consumer of ours counts
	// attempts by itself.
	MaxDeliveries int
	// Prefix is that of the bridge's names, default [bridge.DefaultPrefix].
	Prefix string
	// Kind, if set, marks the durable as one that a bridge's configuration names,
	// see [consumerstate.MetadataKind]. Where a durable begins that lacks the mark is held
	// against Start, since somebody else made it.
	Kind string
	// Remaking, if set, is told with which sequence a durable will begin that has to be
	// made anew, before it is removed. An error leaves it as it is.
	Remaking func(first uint64) error
}

// WithDefaults returns d with every default filled in.
func (d Definition) WithDefaults() Definition {
	d.Lease = cmp.Or(d.Lease, DefaultLease)
	d.Prefix = cmp.Or(d.Prefix, bridge.DefaultPrefix)
	if len(d.Filter.Statuses) == 0 {
		d.Filter.Statuses = []string{bridge.StatusCompleted, bridge.StatusFailed}
	}
	return d
}

// Validate returns an error that names the first field that cannot be used. Fields without a
// value must have their default.
func (d Definition) Validate() error {
	if err := bridge.CheckName("consumer", d.Name); err != nil {
		return err
	}
	for _, err := range []error{bridge.CheckName("prefix", d.Prefix), d.Filter.Validate()} {
		if err != nil {
			return fmt.Errorf("consumer %s: %w", d.Name, err)
		}
	}
	switch {
	case d.Lease < MinLease:
		return fmt.Errorf("consumer %s: lease is %v, it must be at least %v", d.Name, d.Lease, MinLease)
	case d.Start.All && !d.Start.At.IsZero():
		return fmt.Errorf("consumer %s: start has both All and At", d.Name)
	case d.MaxDeliveries < 0:
		return fmt.Errorf("consumer %s: max deliveries are %d, they must be 1 or more, or 0 for no limit", d.Name, d.MaxDeliveries)
	}
	return nil
}

var (
	// ErrMissing is wrapped when a durable does not exist.
	ErrMissing = errors.New("durable does not exist")
	// ErrDiffers is wrapped when a durable is not what it is to be; the text
	// names the settings.
	ErrDiffers = errors.New("durable differs")
	// ErrUnusable is wrapped when there is a durable of this name that cannot serve a
	// consumer. Somebody has to remove it, or the consumer needs another name.
	ErrUnusable = errors.New("durable cannot be used")
	// ErrOtherBridge is wrapped beside ErrDiffers when another bridge, with another
	// configuration, has made the durable what it is.
	ErrOtherBridge = errors.New("another configuration is in force")
)

func (d Definition) names() bridge.Names { return bridge.Names{Prefix: d.Prefix} }

// maxDeliver has no limit for whoever counts attempts by itself: a delivery is
// counted by the server also when a worker restarts, and an event that it stops
// delivering is one that the worker never hears of.
func (d Definition) maxDeliver() int { return cmp.Or(d.MaxDeliveries, unlimited) }

// Subjects are those of the filter and that on which events come again for this
// consumer alone.
func (d Definition) Subjects() []string {
	subjects, _ := d.Filter.Subjects(d.names())
	return append(subjects, d.names().AllAgain(d.Name))
}
