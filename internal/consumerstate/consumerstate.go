// Package consumerstate is what one process reports of a consumer that it runs, and how
// the state of a consumer is called.
package consumerstate

import (
	"encoding/json"
	"time"

	"github.com/hookspan/hookspan/bridge"
)

// State is the state of a consumer in one token.
type State string

// States of a consumer. Where several are true, the first one of this list is shown:
// what an operator decided, then what keeps events from being handled at all, then
// how far the consumer is.
const (
	Missing  State = "missing"    // it is configured and there is no durable
	Orphaned State = "orphaned"   // a durable that the configuration does not name any more
	Paused   State = "paused"     // nothing is delivered until it is resumed, or a time
	Blocked  State = "blocked"    // its handler lets no event be fetched, such as one whose target is away
	Failing  State = "failing"    // events wait, attempts fail, and none has succeeded since
	Unread   State = "unread"     // events wait and nobody asks for them
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

// Words is the state as a person reads it.
func (s State) Words() string { return words[s] }

// Well is the state in the [Report] of a process that succeeds while
// another one reports that it does not.
const Well State = "well"

// MaxReason bounds the reason in a [Report], in bytes.
const MaxReason = 256

// Report is what one process says of a consumer that it runs, as JSON under
// [bridge.Names.ReportKey]. A process reports only while something is wrong, again and
// again; without a further report it is gone after some 90 s.
type Report struct {
	// State is [Failing], [Blocked] or [Well].
	State State `json:"state"`
	// Since is when the first attempt failed of those that failed in a row, or when
	// the handler let no event be fetched any more.
	Since time.Time `json:"since,omitzero"`
	// Reason is the last error. It may hold text of strangers.
	Reason string `json:"reason,omitempty"`
	// Failures is how many attempts failed in a row.
	Failures int `json:"failures,omitempty"`
}

// maxReport bounds a report on the wire, in bytes.
const maxReport = 4 << 10

// Decode reads a report. It returns false for what is none: the mark of one that
// was taken back, what stays for ever, and what no process of ours writes.
func Decode(h bridge.Header, value []byte) (r Report, ok bool) {
	if h.Get("KV-Operation") != "" || h.Get("Nats-TTL") == "" || len(value) > maxReport {
		return r, false
	}
	return r, json.Unmarshal(value, &r) == nil
}

// MetadataKind is the metadata of a durable that was made for a consumer of a
// configuration: its kind.
const MetadataKind = "hookspan-kind"

// MetadataConfig is the metadata of such a durable that tells configurations of it apart.
const MetadataConfig = "hookspan-config"
