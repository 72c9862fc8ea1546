package bridge

import "time"

// Alarm is something that a person should know of. It never holds a secret.
type Alarm struct {
	// Kind is one token, e.g. [AlarmStoreBackwards]; it is counted by.
	Kind string `json:"kind"`
	// Text says in words what happened and what to do next.
	Text string `json:"text"`
	// Subject tells alarms of one kind apart, e.g. a stream or a consumer.
	// While an alarm of the same kind and subject is fresh it is not repeated.
	Subject string `json:"subject,omitempty"`
	// Details are numbers and names for programs.
	Details map[string]any `json:"details,omitempty"`
	// Time is when it was raised; zero is now.
	Time time.Time `json:"time"`
}

// Kinds of alarms.
const (
	AlarmStoreBackwards = "store_backwards" // a stream has less than it had
	AlarmStoreMissing   = "store_missing"   // a message is not there that should be
	AlarmStoreCorrupt   = "store_corrupt"   // a message, or the description of a stream, cannot be read
	AlarmStoreFrozen    = "store_frozen"    // the embedded server cannot write
	AlarmStoreFull      = "store_full"      // events are refused
	AlarmStreamRemoved  = "stream_removed"  // somebody removed a stream
	AlarmStreamChanged  = "stream_changed"  // somebody changed a stream
	AlarmNoJetStream    = "no_jetstream"    // NATS keeps no streams
	AlarmConnection     = "connection"      // NATS closed a connection with an error
	AlarmCredentials    = "credentials"     // NATS refuses the credentials of a connection
	AlarmClock          = "clock"           // the clock jumped
	AlarmExpired        = "expired"         // events left unhandled
	AlarmSpoolStuck     = "spool_stuck"     // a spooled event that NATS will not take
	AlarmSpoolFull      = "spool_full"      // the spool takes no more
	AlarmUnknownSource  = "unknown_source"  // webhooks for a source nobody configured
	AlarmQuarantineFull = "quarantine_full" // unusable deliveries are refused
	AlarmRefused        = "refused"         // deliveries of a source are not authentic
	AlarmQuota          = "quota"           // other programs want more than is theirs
	AlarmIDTaken        = "id_taken"        // a message has the id of another one
	AlarmExhausted      = "exhausted"       // events that are delivered no more, without a dead letter
	AlarmCommand        = "command"         // the command of a consumer cannot be started
	AlarmTargetGone     = "target_gone"     // a target says that it is gone for good
	AlarmTargetDown     = "target_down"     // a target fails and is left alone
	AlarmTargetBlocked  = "target_blocked"  // a target's address must not be asked

	AlarmConsumerRemoved  = "consumer_removed"  // somebody removed the durable of a consumer
	AlarmConsumerChanged  = "consumer_changed"  // somebody changed it
	AlarmConsumerUnusable = "consumer_unusable" // it cannot be made what it is to be
	AlarmConsumerOrphaned = "consumer_orphaned" // the configuration names it no more
	AlarmConsumerNarrowed = "consumer_narrowed" // its filter passes over events that waited
	AlarmLeftBehind       = "left_behind"       // events wait where the configuration does not look any more
	AlarmDurableDamaged   = "durable_damaged"   // the server cannot read its files

	AlarmDeadLetters     = "dead_letters"     // a consumer gave up on events
	AlarmConsumerFailing = "consumer_failing" // its attempts fail
	AlarmConsumerUnread  = "consumer_unread"  // its events wait and nobody asks for them

	AlarmArchiveRefused = "archive_refused" // an archive may not ask a host for outputs
	AlarmArchiveNoRoom  = "archive_no_room" // an archive waits for room
	AlarmArchiveExpires = "archive_expires" // outputs that are not archived will be gone soon

	AlarmSilence            = "silence"             // the webhooks of a source have stopped
	AlarmPredictionConflict = "prediction_conflict" // a prediction ended twice, in two ways
	AlarmPredictionLost     = "prediction_lost"     // a prediction was given up
	AlarmPolling            = "polling"             // the provider's API does not answer as it should
	AlarmPredictionsFull    = "predictions_full"    // the prediction store has no room
	AlarmPredictionsStuck   = "predictions_stuck"   // the prediction store stands still
)

// AlarmKinds are all kinds of alarms.
var AlarmKinds = []string{
	AlarmStoreBackwards, AlarmStoreMissing, AlarmStoreCorrupt, AlarmStoreFrozen, AlarmStoreFull, AlarmStreamRemoved, AlarmStreamChanged, AlarmNoJetStream,
	AlarmConnection, AlarmCredentials,
	AlarmClock, AlarmExpired, AlarmSpoolStuck, AlarmSpoolFull, AlarmUnknownSource, AlarmQuarantineFull, AlarmRefused,
	AlarmQuota, AlarmIDTaken, AlarmExhausted, AlarmCommand,
	AlarmTargetGone, AlarmTargetDown, AlarmTargetBlocked,
	AlarmConsumerRemoved, AlarmConsumerChanged, AlarmConsumerUnusable, AlarmConsumerOrphaned, AlarmConsumerNarrowed, AlarmLeftBehind, AlarmDurableDamaged,
	AlarmDeadLetters, AlarmConsumerFailing, AlarmConsumerUnread,
	AlarmArchiveRefused, AlarmArchiveNoRoom, AlarmArchiveExpires,
	AlarmSilence, AlarmPredictionConflict, AlarmPredictionLost, AlarmPolling, AlarmPredictionsFull, AlarmPredictionsStuck,
}

// Alarmer is told of alarms. Raise never blocks and never fails: what cannot be
// kept is at least logged. It is safe for concurrent use.
type Alarmer interface {
	Raise(a Alarm)
}

// NoAlarms is an [Alarmer] that drops every alarm.
type NoAlarms struct{}

// Raise does nothing.
func (NoAlarms) Raise(Alarm) {}
