package adminapi

import "time"

// PredictionsStatus is how the ledger of predictions stands, as the process that leads it
// wrote last.
type PredictionsStatus struct {
	// Leader names that process.
	Leader    string    `json:"leader"`
	UpdatedAt time.Time `json:"updated_at"`
	// Folded is the sequence of the last event that is in the ledger, and FoldedAt when
	// that was stored, zero when it is not known. Last is the sequence of the last one of
	// the stream of events. Behind is how many events are to be folded.
	Folded   uint64    `json:"folded"`
	FoldedAt time.Time `json:"folded_at,omitzero"`
	Last     uint64    `json:"last"`
	Behind   uint64    `json:"behind"`
	// Rebuilding: the ledger is being folded from the first event on.
	Rebuilding bool `json:"rebuilding,omitempty"`
	// Sources are those that are configured and those that have predictions, by name;
	// of the latter at most [MaxStatusSources].
	Sources map[string]SourceStatus `json:"sources"`
}

// MaxStatusSources bounds the sources of a [LedgerStatus] that are not configured:
// events can be of any.
const MaxStatusSources = 100

// SourceStatus is how the predictions of one source stand.
type SourceStatus struct {
	Open    int `json:"open"`
	Overdue int `json:"overdue"`
	// Oldest is when the first of the overdue ones was seen first.
	Oldest time.Time `json:"oldest,omitzero"`
	// Polled: the provider can be asked, it has an API and a key.
	Polled bool `json:"polled"`
	// PausedUntil is until when the provider does not want to be asked.
	PausedUntil time.Time `json:"paused_until,omitzero"`
	// LastWebhook is when the last webhook of the source came, and PolledSince how many
	// predictions have got their end by polling since then.
	LastWebhook time.Time `json:"last_webhook,omitzero"`
	PolledSince int       `json:"polled_since"`
}
