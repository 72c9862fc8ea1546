package bridge

import (
	"encoding/json"
	"time"
)

// Standing is the state of a consumer in one token.
type Standing string

// States of a consumer. Where several are true, the first one of this list is shown:
// what an operator decided, then what keeps events from being handled at all, then
// how far the consumer is.
const (
	StandingMissing  Standing = "missing"    // it is configured and there is no durable
	StandingOrphaned Standing = "orphaned"   // a durable that the configuration does not name any more
	StandingPaused   Standing = "paused"     // nothing is delivered until it is resumed, or a time
	StandingBlocked  Standing = "blocked"    // its handler lets no event be fetched, such as one whose target is away
	StandingFailing  Standing = "failing"    // events wait, attempts fail, and none has succeeded since
	StandingUnread   Standing = "unread"     // events wait and nobody asks for them
	StandingBehind   Standing = "behind"     // events wait for their first delivery
	StandingWaiting  Standing = "waiting"    // events wait for another attempt
	StandingCurrent  Standing = "up_to_date" // nothing waits but what is being handled
)

var standingWords = map[Standing]string{
	StandingMissing:  "no durable: see the log of the process that runs it",
	StandingOrphaned: "orphaned: the configuration does not name it any more",
	StandingPaused:   "paused",
	StandingBlocked:  "blocked",
	StandingFailing:  "failing",
	StandingUnread:   "nobody asks for its events",
	StandingBehind:   "behind",
	StandingWaiting:  "events wait for another attempt",
	StandingCurrent:  "up to date",
}

// Words is the state as a person reads it.
func (s Standing) Words() string { return standingWords[s] }

// StandingWell is the state in the [ConsumerReport] of a process that succeeds while
// another one reports that it does not.
const StandingWell Standing = "well"

// MaxReason bounds the reason in a [ConsumerReport], in bytes.
const MaxReason = 256

// reportToken begins the keys of reports, behind the consumer's name.
const reportToken = "state."

// ConsumerReport is what one process says of a consumer that it runs, as JSON under
// [Names.ReportKey]. A process reports only while something is wrong, again and
// again; without a further report it is gone after some 90 s.
type ConsumerReport struct {
	// State is [StandingFailing], [StandingBlocked] or [StandingWell].
	State Standing `json:"state"`
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

// DecodeReport reads a report. It returns false for what is none: the mark of one that
// was taken back, what stays for ever, and what no process of ours writes.
func DecodeReport(h Header, value []byte) (r ConsumerReport, ok bool) {
	if h.Get("KV-Operation") != "" || h.Get("Nats-TTL") == "" || len(value) > maxReport {
		return r, false
	}
	return r, json.Unmarshal(value, &r) == nil
}
