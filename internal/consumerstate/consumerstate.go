// Package consumerstate has the states of a consumer, and the reports of the processes that run
// it.
package consumerstate

import (
	"encoding/json"
	"time"

	"github.com/hookspan/hookspan/bridge"
)

// State is the state of a consumer in one token.
type State string

// States of a consumer. If several apply, the first of this list is shown: first the decisions
// of operators, then obstacles, then progress.
const (
	Missing  State = "missing"    // configured, and there is no durable
	Orphaned State = "orphaned"   // a durable that the configuration does not name any more
	Paused   State = "paused"     // nothing is delivered until it is resumed, or until a time
	Blocked  State = "blocked"    // its handler lets no event be fetched, for example because its target is away
	Failing  State = "failing"    // events wait, attempts fail, and none has succeeded since
	Unread   State = "unread"     // events wait and no program fetches
	Behind   State = "behind"     // events wait for their first delivery
	Waiting  State = "waiting"    // events wait for another attempt
	Current  State = "up_to_date" // nothing waits but what is being handled
)

var words = map[State]string{
	Missing:  "no durable: see the log of the process that runs it",
	Orphaned: "orphaned: the configuration does not name it any more",
	Paused:   "paused",
	Blocked:  "blocked",
	Failing:  "failing",
	Unread:   "nobody asks for its events",
	Behind:   "behind",
	Waiting:  "events wait for another attempt",
	Current:  "up to date",
}

// Words is the state for people.
func (s State) Words() string { return words[s] }

// Well is the state in the [Report] of a process that succeeds while another one reports a
// failure.
const Well State = "well"

// MaxReason bounds the reason in a [Report], in bytes.
const MaxReason = 256

// Report is the report of one process on a consumer that it runs, as JSON under
// [bridge.Names.ReportKey]. A process reports repeatedly, only while something is wrong; its
// last report disappears after some 90 s.
type Report struct {
	// State is [Failing], [Blocked] or [Well].
	State State `json:"state"`
	// Since is when the first of the latest failures in a row happened, or when the handler
	// blocked fetching.
	Since time.Time `json:"since,omitzero"`
	// Reason is the last error. It may hold foreign text.
	Reason string `json:"reason,omitempty"`
	// Failures is how many attempts failed in a row.
	Failures int `json:"failures,omitempty"`
}

// maxReport bounds a report on the wire, in bytes.
const maxReport = 4 << 10

// Decode reads a report. It returns false for anything else: the marker of a withdrawn report,
// an entry without an expiry, and entries of other programs.
func Decode(h bridge.Header, value []byte) (r Report, ok bool) {
	if h.Get("KV-Operation") != "" || h.Get("Nats-TTL") == "" || len(value) > maxReport {
		return r, false
	}
	return r, json.Unmarshal(value, &r) == nil
}

// MetadataKind is the metadata key, in a durable made for a configured consumer, of its kind.
const MetadataKind = "hookspan-kind"

// MetadataConfig is the metadata key of a digest of the consumer's configuration.
const MetadataConfig = "hookspan-config"
