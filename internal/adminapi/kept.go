package adminapi

import (
	"time"

	"github.com/hookspan/hookspan/bridge"
)

// KeptDelivery is an entry as the API shows it.
type KeptDelivery struct {
	Stream     string    `json:"stream"`
	Seq        uint64    `json:"seq"`
	Source     string    `json:"source"`
	Cause      string    `json:"cause"`
	Detail     string    `json:"detail"`
	ReceivedAt time.Time `json:"received_at"`
	Remote     string    `json:"remote"`
	RequestID  string    `json:"request_id"`
	BodyBytes  int64     `json:"body_bytes"`
	Truncated  bool      `json:"truncated,omitempty"`
}

// KeptDetail is a whole entry.
type KeptDetail struct {
	KeptDelivery
	ContentType string            `json:"content_type,omitempty"`
	Proof       bridge.Header     `json:"proof"`
	Header      bridge.Header     `json:"header"`
	HeadersCut  int               `json:"headers_cut,omitempty"`
	Query       map[string]string `json:"query,omitempty"`
	TraceParent string            `json:"traceparent,omitempty"`
	Content
}

// KeptList is a page of entries, of one stream or of both.
type KeptList struct {
	Entries []KeptDelivery `json:"entries"`
	Listed
}

// KeptCause counts the entries of a stream with the same source and cause.
type KeptCause struct {
	Stream string `json:"stream"`
	Source string `json:"source"`
	Cause  string `json:"cause"`
	Count  uint64 `json:"count"`
}

// KeptCauses are all of them: those of the quarantine first, in each stream the largest first.
type KeptCauses struct {
	Causes []KeptCause `json:"causes"`
}

// KeptCall selects entries and says what to do.
type KeptCall struct {
	// Stream is quarantine or refused, empty for both.
	Stream string `json:"stream,omitempty"`
	Source string `json:"source,omitempty"`
	Cause  string `json:"cause,omitempty"`
	Page
	ReverifyOptions
}

// Selection returns what the call selects.
func (c *KeptCall) Selection() KeptSelection {
	return KeptSelection{Place: c.Stream, Source: c.Source, Cause: c.Cause, Sequences: c.Seqs, After: c.After, Limit: c.Limit}
}

// AcceptCall selects quarantined entries to make events of, and says who decided it.
type AcceptCall struct {
	// Seqs are 1 to 1000 entries.
	Seqs   []uint64 `json:"seqs"`
	DryRun bool     `json:"dry_run,omitempty"`
	// By and Reason are for the log: who decided it, and why. Both are optional, at most 256
	// bytes.
	By     string `json:"by,omitempty"`
	Reason string `json:"reason,omitempty"`
}
