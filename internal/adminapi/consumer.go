package adminapi

import (
	"time"

	"github.com/hookspan/hookspan/bridge"
)

// ConsumerList has all consumers, by name.
type ConsumerList struct {
	Consumers []ConsumerState `json:"consumers"`
	// LeftBehind are events that wait where an earlier configuration stored them.
	LeftBehind []LeftBehind `json:"left_behind,omitempty"`
}

// FilterCall is a possible filter of a consumer.
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

// FilterSkips is the effect of a filter on a consumer.
type FilterSkips struct {
	// Skips is how many of the consumer's waiting events the filter does not pick. NATS matches
	// only whole parts of a model glob.
	Skips uint64 `json:"skips"`
}

// AddCall makes a durable for a program that the configuration does not name.
type AddCall struct {
	Name string `json:"name"`
	FilterCall
	// Start is "new", the default, "all", or a time.
	Start string `json:"start,omitempty"`
	// LeaseSeconds is how long a delivered event may stay unacknowledged, default 30, 1 to
	// 3600.
	LeaseSeconds int `json:"lease_seconds,omitempty"`
	// MaxDeliveries bounds the deliveries of an event, default 20, 2 to 10000.
	MaxDeliveries int `json:"max_deliveries,omitempty"`
}

// PauseCall pauses a consumer until a time; the zero time is until it is resumed.
type PauseCall struct {
	Until time.Time `json:"until,omitzero"`
}

// SeekCall sets a consumer to one of these positions.
type SeekCall struct {
	ConsumerPosition
	DryRun bool `json:"dry_run,omitempty"`
}

// RemoveCall removes a consumer.
type RemoveCall struct {
	DryRun bool `json:"dry_run,omitempty"`
}
