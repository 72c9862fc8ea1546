package adminapi

import (
	"time"

	"github.com/hookspan/hookspan/bridge"
)

// ConsumerList is all consumers, by name.
type ConsumerList struct {
	Consumers []ConsumerState `json:"consumers"`
	// LeftBehind are events that wait where an earlier configuration had them.
	LeftBehind []LeftBehind `json:"left_behind,omitempty"`
}

// FilterCall is a filter that a consumer might have.
type FilterCall struct {
	Event    string   `json:"event,omitempty"`
	Sources  []string `json:"sources,omitempty"`
	Statuses []string `json:"statuses,omitempty"`
	Model    string   `json:"model,omitempty"`
}

// Filter returns the filter.
func (c FilterCall) Filter() bridge.Filter {
	return bridge.Filter{Event: c.Event, Sources: c.Sources, Statuses: c.Statuses, Model: c.Model}
}

// FilterSkips is what a filter would have a consumer not be given.
type FilterSkips struct {
	// Skips is how many of the events that wait for it the filter does not pick, as
	// far as NATS can tell: of a model glob it knows whole parts.
	Skips uint64 `json:"skips"`
}

// AddCall makes a durable for a program that the configuration does not name.
type AddCall struct {
	Name string `json:"name"`
	FilterCall
	// Start is new, which is the default, all, or a time.
	Start string `json:"start,omitempty"`
	// LeaseSeconds is how long an event that was delivered may stay without an answer,
	// default 30, 1 to 3600.
	LeaseSeconds int `json:"lease_seconds,omitempty"`
	// MaxDeliveries is how often an event is delivered, default 20, 2 to 10000.
	MaxDeliveries int `json:"max_deliveries,omitempty"`
}

// PauseCall says until when a consumer is paused; the zero time is until it is
// resumed.
type PauseCall struct {
	Until time.Time `json:"until,omitzero"`
}

// SeekCall says where a consumer goes on: at one of these.
type SeekCall struct {
	ConsumerPosition
	DryRun bool `json:"dry_run,omitempty"`
}

// RemoveCall removes a consumer.
type RemoveCall struct {
	DryRun bool `json:"dry_run,omitempty"`
}
