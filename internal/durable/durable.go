// Package durable makes the durable of a consumer in NATS and corrects its settings: bridges do
// this for configured consumers, and package consumers for its own.
package durable

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"github.com/hookspan/hookspan/bridge"
)

const (
	// MaxAckPending bounds the events of one durable that are with workers or waiting for their
	// next attempt. Waiting events count, so it is far above any concurrency.
	MaxAckPending = 10_000
	// unlimited is the server's value of a limit that is not set.
	unlimited = -1
)

// DefaultLease is the default of [Definition.Lease].
const DefaultLease = 30 * time.Second

// MinLease is the shortest lease: settling an event must be possible within it.
const MinLease = time.Second

// StartPoint is where a new durable begins. The zero value is the first event stored after its
// creation.
type StartPoint struct {
	// All begins with the oldest stored event.
	All bool
	// At begins with the first event stored then or later.
	At time.Time
}

// Definition is the wanted state of a consumer's durable. Only Name is required.
type Definition struct {
	Name string
	// Filter picks the events, by default completed and failed predictions.
	Filter bridge.Filter
	Start  StartPoint
	// Lease is how long the server waits for a sign of life, default [DefaultLease].
	Lease time.Duration
	// MaxDeliveries is how often the server delivers an event before it stops and publishes an
	// advisory. Zero is no limit: consumers in Go count attempts themselves.
	MaxDeliveries int
	// Prefix is that of the bridge's names, default [bridge.DefaultPrefix].
	Prefix string
	// Kind, if set, marks the durable as configured by a bridge, see
	// [consumerstate.MetadataKind]. A durable without the mark was made by another program, so
	// its position is checked against Start.
	Kind string
	// Remaking, if set, is called with the first sequence of a durable that must be remade,
	// before its removal. An error prevents the removal.
	Remaking func(first uint64) error
}

// WithDefaults returns d with all defaults.
func (d Definition) WithDefaults() Definition {
	d.Lease = cmp.Or(d.Lease, DefaultLease)
	d.Prefix = cmp.Or(d.Prefix, bridge.DefaultPrefix)
	if len(d.Filter.Statuses) == 0 {
		d.Filter.Statuses = []string{bridge.StatusCompleted, bridge.StatusFailed}
	}
	return d
}

// Validate returns an error that names the first invalid field. d must have its defaults.
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
	// ErrDiffers is wrapped when a durable differs from its definition; the text names the
	// settings.
	ErrDiffers = errors.New("durable differs")
	// ErrUnusable is wrapped when the durable of this name cannot serve a consumer. Somebody
	// must remove it, or the consumer needs another name.
	ErrUnusable = errors.New("durable cannot be used")
	// ErrOtherBridge is wrapped beside ErrDiffers when another bridge, with another
	// configuration, has changed the durable.
	ErrOtherBridge = errors.New("another configuration is in force")
)

func (d Definition) names() bridge.Names { return bridge.Names{Prefix: d.Prefix} }

// maxDeliver is unlimited unless MaxDeliveries is set: the server also counts deliveries that a
// restart of the worker cut short, and the worker would never hear of an event that the server
// stops delivering.
func (d Definition) maxDeliver() int { return cmp.Or(d.MaxDeliveries, unlimited) }

// Subjects are those of the filter, and that of events redelivered to this consumer.
func (d Definition) Subjects() []string {
	subjects, _ := d.Filter.Subjects(d.names())
	return append(subjects, d.names().AllAgain(d.Name))
}
