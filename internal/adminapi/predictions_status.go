package adminapi

import "time"

// PredictionsStatus is the status of the prediction store, as last written by its leader.
type PredictionsStatus struct {
	// Leader names the leading process.
	Leader    string    `json:"leader"`
	UpdatedAt time.Time `json:"updated_at"`
	// Folded is the sequence of the last event in the prediction store, and FoldedAt when that
	// event was stored, zero if unknown. Last is the last sequence of the stream of events.
	// Behind is how many events are still to be folded.
	Folded   uint64    `json:"folded"`
	FoldedAt time.Time `json:"folded_at,omitzero"`
	Last     uint64    `json:"last"`
	Behind   uint64    `json:"behind"`
	// Rebuilding: the prediction store is being folded from the first event on.
	Rebuilding bool `json:"rebuilding,omitempty"`
	// Sources are the configured ones and those with predictions, by name; of the latter at
	// most [MaxStatusSources].
	Sources map[string]SourceStatus `json:"sources"`
}

// MaxStatusSources bounds the unconfigured sources of a [PredictionsStatus]: events can be of
// any source.
const MaxStatusSources = 100

// SourceStatus is the status of the predictions of one source.
type SourceStatus struct {
	Open    int `json:"open"`
	Overdue int `json:"overdue"`
	// Oldest is when the first overdue prediction was first seen.
	Oldest time.Time `json:"oldest,omitzero"`
	// Polled: the provider has an API, and its key is configured.
	Polled bool `json:"polled"`
	// PausedUntil is until when the provider accepts no polls.
	PausedUntil time.Time `json:"paused_until,omitzero"`
	// LastWebhook is when the last webhook of the source came, and PolledSince how many
	// predictions have ended by polling since then.
	LastWebhook time.Time `json:"last_webhook,omitzero"`
	PolledSince int       `json:"polled_since"`
}
