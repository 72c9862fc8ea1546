package adminapi

import "time"

// StatusState is how a bridge does.
type StatusState string

// States of a bridge.
const (
	// StatusOK: nothing needs anybody.
	StatusOK StatusState = "ok"
	// StatusDegraded: everything that is promised is done, and somebody should look.
	StatusDegraded StatusState = "degraded"
	// StatusFailing: something that is promised is not done at the moment.
	StatusFailing StatusState = "failing"
)

// Status is how the bridge does, in figures.
type Status struct {
	At    time.Time   `json:"at"`
	State StatusState `json:"state"`
	// Problems are why the state is not ok, the worst first.
	Problems    []Problem         `json:"problems"`
	Predictions StatusPredictions `json:"predictions"`
	Outputs     StatusOutputs     `json:"outputs"`
	// AcceptedPerMinute is how many events of webhooks were stored in each of the last sixty
	// minutes, the oldest first. The last one is not over.
	AcceptedPerMinute []int64 `json:"accepted_per_minute"`
	// Journal is missing in a process without one.
	Journal   *StatusJournal  `json:"journal,omitempty"`
	Consumers StatusConsumers `json:"consumers"`
	// Dead, Quarantined and Refused are what the streams have.
	Dead        uint64     `json:"dead"`
	Quarantined uint64     `json:"quarantined"`
	Refused     uint64     `json:"refused"`
	View        StatusView `json:"view"`
	// AlarmsActive is how many alarms were raised within the last 15 minutes, by kind and
	// subject.
	AlarmsActive int `json:"alarms_active"`
	// Unknown names what could not be asked, and whose figures are zero therefore.
	Unknown []string `json:"unknown,omitempty"`
}

// Problem is one reason for a state.
type Problem struct {
	// State is what it makes the bridge be.
	State StatusState `json:"state"`
	// Kind is a word for programs: that of the alarm if it is one.
	Kind string `json:"kind"`
	// Subject is the consumer or the source that it is about, or what tells alarms of its kind
	// apart; empty for none.
	Subject string `json:"subject,omitempty"`
	What    string `json:"what"`
	// Since is zero when nobody knows.
	Since time.Time `json:"since,omitzero"`
	// Remedy is what to do, empty when What says it.
	Remedy string `json:"remedy,omitempty"`
}

// StatusPredictions counts predictions since From, which is 24 to 25 hours ago.
type StatusPredictions struct {
	From time.Time `json:"from"`
	// Expected is the sum of the next five.
	Expected  int64 `json:"expected"`
	ByWebhook int64 `json:"by_webhook"`
	ByPoll    int64 `json:"by_poll"`
	// Otherwise ended by what an archive or a program said.
	Otherwise int64 `json:"otherwise"`
	// Missing are overdue now, GivenUp were polled in vain.
	Missing int64 `json:"missing"`
	GivenUp int64 `json:"given_up"`
	// OldestMissing is when the first of the missing ones was first seen.
	OldestMissing time.Time `json:"oldest_missing,omitzero"`
	// Open is how many have not ended, the missing ones too.
	Open int64 `json:"open"`
}

// StatusOutputs are the outputs that no archive has.
type StatusOutputs struct {
	// Unarchived is how many finished predictions have outputs that no archive has and that the
	// provider will delete. NextDeletedAt is when it deletes the first of them.
	Unarchived    int       `json:"unarchived"`
	NextDeletedAt time.Time `json:"next_deleted_at,omitzero"`
}

// StatusJournal is what waits for NATS in the journal of the answering process.
type StatusJournal struct {
	Waiting  uint64    `json:"waiting"`
	Oldest   time.Time `json:"oldest,omitzero"`
	SetAside int       `json:"set_aside"`
}

// StatusConsumers counts consumers by their state. Failing ones are blocked, missing or unread
// too.
type StatusConsumers struct {
	Count   int `json:"count"`
	Behind  int `json:"behind"`
	Failing int `json:"failing"`
	Paused  int `json:"paused"`
}

// StatusView is how far the view of the answering process is.
type StatusView struct {
	UpToDate bool `json:"up_to_date"`
	// Behind is how many events are still to be folded.
	Behind     uint64 `json:"behind"`
	Rebuilding bool   `json:"rebuilding,omitempty"`
}
