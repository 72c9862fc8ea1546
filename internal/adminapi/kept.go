package adminapi

import (
	"time"

	"github.com/hookspan/hookspan/bridge"
)

// KeptDelivery is an entry as the API shows it.
type KeptDelivery struct {
	Stream      string    `json:"stream"`
	Seq         uint64    `json:"seq"`
	Source      string    `json:"source"`
	Cause       string    `json:"cause"`
	Detail      string    `json:"detail"`
	ReceivedAt  time.Time `json:"received_at"`
	Remote      string    `json:"remote"`
	RequestID   string    `json:"request_id"`
	ContentType string    `json:"content_type,omitempty"`
	BodyBytes   int64     `json:"body_bytes"`
	Truncated   bool      `json:"truncated,omitempty"`
}

// KeptDetail is a whole entry.
type KeptDetail struct {
	KeptDelivery
	Proof       bridge.Header     `json:"proof"`
	Header      bridge.Header     `json:"header"`
	HeadersCut  int               `json:"headers_cut,omitempty"`
	Query       map[string]string `json:"query,omitempty"`
	TraceParent string            `json:"traceparent,omitempty"`
	Content
}

// KeptList is a page of entries.
type KeptList struct {
	Entries []KeptDelivery `json:"entries"`
	// More is set when there are more entries than the limit.
	More bool `json:"more"`
}

// KeptCall says which entries are meant and what is to be done.
type KeptCall struct {
	// Stream is quarantine or refused, empty for both.
	Stream string `json:"stream,omitempty"`
	Source string `json:"source,omitempty"`
	Cause  string `json:"cause,omitempty"`
	Page
	DryRun bool `json:"dry_run,omitempty"`
	// AcceptStale and AcceptPathToken are for verifying again.
	AcceptStale     bool `json:"accept_stale,omitempty"`
	AcceptPathToken bool `json:"accept_path_token,omitempty"`
}

// AcceptCall says which entries of the quarantine are to become events, and who says so.
type AcceptCall struct {
	// Seqs are the entries, 1 to 1000 of them.
	Seqs   []uint64 `json:"seqs"`
	DryRun bool     `json:"dry_run,omitempty"`
	// By and Reason are for the log: who decided it, and why. Both may be empty, and
	// have at most 256 bytes.
	By     string `json:"by,omitempty"`
	Reason string `json:"reason,omitempty"`
}
