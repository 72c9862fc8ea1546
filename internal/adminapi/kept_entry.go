package adminapi

import (
	"github.com/hookspan/hookspan/bridge"
)

// KeptEntry is a delivery in the place where it is kept.
type KeptEntry struct {
	Place    string
	Sequence uint64
	bridge.KeptDelivery
}

// KeptSelection says which entries are meant. Its zero value is all.
type KeptSelection struct {
	// Place, Source and Cause are empty for every one.
	Place, Source, Cause string
	// Sequences names entries of Place, which must be given then.
	Sequences []uint64
	// After leaves out the entries up to that sequence. It is per place.
	After uint64
	// Before leaves out the entries from that sequence on, unless it is zero. It is per place.
	Before uint64
	// Newest is the order of a list: the last one first.
	Newest bool
	// Limit bounds how many entries are looked at; 0 is no limit.
	Limit int
}

// ReverifyOptions say what becomes an event of that which is verified again.
type ReverifyOptions struct {
	// DryRun changes nothing and says what would happen.
	DryRun bool
	// AcceptStale takes deliveries that were too old when they came, and
	// AcceptPathToken those whose URL did not end in the path token; both must be
	// authentic by their signature.
	AcceptStale, AcceptPathToken bool
}

// AcceptOptions say how quarantined deliveries are accepted.
type AcceptOptions struct {
	// DryRun changes nothing and says what would happen.
	DryRun bool
	// By and Reason are who decided it and why, From the address that the call came
	// from: all for the log, and any may be empty.
	By, Reason, From string
	// Accepted, if set, is told of each entry that has become an event, before it is
	// removed. It is not called in a dry run.
	Accepted func(KeptEntry, *bridge.Event)
}

// KeptReport says what became of the entries of a selection.
type KeptReport struct {
	// DryRun is set when nothing was changed: the counts are what would be.
	DryRun bool `json:"dry_run"`
	// LookedAt is how many entries were read. Each is in one of the next three.
	LookedAt int `json:"looked_at"`
	// Events became events. Duplicates were events already; a dry run cannot
	// tell them apart and counts them as events.
	Events     int `json:"events"`
	Duplicates int `json:"duplicates"`
	// Remaining stay where they are, by the cause that holds them back.
	Remaining map[string]int `json:"remaining"`
	// Removed is how many entries left their place.
	Removed int `json:"removed"`
	// More is set when the limit was reached. Last is the sequence of the last
	// entry that was looked at, to go on after.
	More bool   `json:"more"`
	Last uint64 `json:"last"`
	// Stopped says why it ended early, in words; what was counted is done.
	Stopped string `json:"stopped,omitempty"`
}
