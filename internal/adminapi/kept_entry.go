package adminapi

import (
	"github.com/hookspan/hookspan/bridge"
)

// KeptEntry is a kept delivery with its place.
type KeptEntry struct {
	Place    string
	Sequence uint64
	bridge.KeptDelivery
}

// KeptSelection selects entries. Its zero value selects all.
type KeptSelection struct {
	// Place, Source and Cause select all when empty.
	Place, Source, Cause string
	// Sequences names entries of Place, which is required with it.
	Sequences []uint64
	// Cursor is the Next of the page before, for lists; empty begins with the newest.
	Cursor string
	// After excludes the entries up to that sequence, per place.
	After uint64
	// Before, unless zero, excludes the entries from that sequence on, per place.
	Before uint64
	// Newest orders a list from the last one to the first.
	Newest bool
	// Limit bounds the entries looked at; 0 is no limit.
	Limit int
}

// NewKeptDelivery returns the entry as the API shows it.
func NewKeptDelivery(e *KeptEntry) KeptDelivery {
	return KeptDelivery{
		Stream: e.Place, Seq: e.Sequence, Source: e.Source, Cause: e.Cause, Detail: e.Detail, ReceivedAt: e.ReceivedAt,
		Remote: e.RemoteAddr, RequestID: e.RequestID, BodyBytes: e.BodyBytes, Truncated: e.Truncated,
	}
}

// ReverifyOptions say which verified deliveries become events.
type ReverifyOptions struct {
	// DryRun changes nothing and reports what would happen.
	DryRun bool `json:"dry_run,omitempty"`
	// AcceptStale includes deliveries that were too old on arrival, AcceptPathToken those whose
	// URL did not end in the path token; both must be authentic by their signature.
	AcceptStale     bool `json:"accept_stale,omitempty"`
	AcceptPathToken bool `json:"accept_path_token,omitempty"`
}

// AcceptOptions say how to accept quarantined deliveries.
type AcceptOptions struct {
	// DryRun changes nothing and reports what would happen.
	DryRun bool
	// By and Reason are who decided it and why, From the address of the caller: all for the
	// log, all optional.
	By, Reason, From string
	// Accepted, if set, is called for each entry that has become an event, before the entry is
	// removed, but not in a dry run.
	Accepted func(KeptEntry, *bridge.Event)
}

// KeptReport is the result for the entries of a selection.
type KeptReport struct {
	// DryRun: nothing was changed, and the counts are what would happen.
	DryRun bool `json:"dry_run"`
	// LookedAt is how many entries were read. Each counts in one of the next three.
	LookedAt int `json:"looked_at"`
	// Events became events. Duplicates were events already; a dry run counts both as Events.
	Events     int `json:"events"`
	Duplicates int `json:"duplicates"`
	// Remaining entries stay where they are, by cause.
	Remaining map[string]int `json:"remaining"`
	// Removed entries left their place.
	Removed int `json:"removed"`
	// More is set when the limit was reached. Last is the last sequence looked at, to go on
	// after.
	More bool   `json:"more"`
	Last uint64 `json:"last"`
	// Stopped says why the call ended early; counted entries are done.
	Stopped string `json:"stopped,omitempty"`
	// Err is the error that Stopped tells; a client does not get it.
	Err error `json:"-"`
}
