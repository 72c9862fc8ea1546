package adminapi

import "time"

// ViewStatus is how far the view of the answering process is, and who polls.
type ViewStatus struct {
	// Streams are by name of the stream.
	Streams map[string]ViewStream `json:"streams"`
	// UpToDate: the view has every event of a moment ago.
	UpToDate bool `json:"up_to_date"`
	// Rebuilding: the view is being made anew from the first event on.
	Rebuilding bool `json:"rebuilding,omitempty"`
	// Error is why the view stands still, Since when; empty while it does not.
	Error string    `json:"error,omitempty"`
	Since time.Time `json:"since,omitzero"`
	// Leader names the process that leads the polling, and LedAt is when it last said so;
	// empty when none does.
	Leader string    `json:"leader,omitempty"`
	LedAt  time.Time `json:"led_at,omitzero"`
	// Sources are the configured ones and those with open predictions, by name; of the latter
	// at most [MaxStatusSources].
	Sources map[string]SourceStatus `json:"sources"`
}

// ViewStream is how far a view is in one stream.
type ViewStream struct {
	// Folded is the sequence of the last folded message, FoldedAt when that was stored.
	Folded   uint64    `json:"folded"`
	FoldedAt time.Time `json:"folded_at,omitzero"`
	// Behind is how many messages are still to be folded.
	Behind uint64 `json:"behind"`
	// Messages is how many messages the stream had a moment ago; of the stream of events it is
	// not known.
	Messages uint64 `json:"messages,omitempty"`
	// Error is why the stream cannot be read; empty while it can.
	Error string `json:"error,omitempty"`
}

// MaxStatusSources bounds the unconfigured sources of a [ViewStatus]: events can be of any
// source.
const MaxStatusSources = 100

// SourceStatus is the status of the predictions of one source.
type SourceStatus struct {
	Open    int `json:"open"`
	Overdue int `json:"overdue"`
	// Oldest is when the first overdue prediction was first seen.
	Oldest time.Time `json:"oldest,omitzero"`
	// Polled: the provider has an API, and its key is configured. This and what follows is
	// known while a process leads.
	Polled bool `json:"polled"`
	// PausedUntil is until when the provider accepts no polls.
	PausedUntil time.Time `json:"paused_until,omitzero"`
	// LastWebhook is when the last webhook of the source came, and PolledSince how many
	// predictions have ended by polling since then.
	LastWebhook time.Time `json:"last_webhook,omitzero"`
	PolledSince int       `json:"polled_since"`
}

// Rebuilding is the answer to a request for a rebuild of the view.
type Rebuilding struct {
	Rebuilding bool `json:"rebuilding"`
}
