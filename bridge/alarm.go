package bridge

import "time"

// Alarm tells a person of a problem. It never holds a secret.
type Alarm struct {
	// Kind is one token, e.g. [AlarmStoreBackwards]; metrics count by it.
	Kind string `json:"kind"`
	// Text says what happened and what to do next.
	Text string `json:"text"`
	// Subject tells alarms of one kind apart, e.g. a stream or a consumer. An alarm is not
	// repeated while one of the same kind and subject is fresh.
	Subject string `json:"subject,omitempty"`
	// ID makes the same alarm of several processes one, within two minutes. Empty: each is an
	// alarm of its own.
	ID string `json:"-"`
	// Details are numbers and names for programs.
	Details map[string]any `json:"details,omitempty"`
	// Until is until when the alarm is active unless it is raised again or cleared before; zero
	// is 15 minutes.
	Until time.Time `json:"until,omitzero"`
	// Over is for an alarm of something that lasts: what is said when that has ended. Such an
	// alarm may be raised as often as one likes while its cause holds, at least once an hour: it
	// is told once, and again every hour. Its end is told when a cleared alarm of its kind and
	// subject was raised and none that is not for ten minutes, or when Until is over. The
	// [Alarmer] that keeps the alarm sets its Until.
	Over string `json:"-"`
	// Cleared: what an earlier alarm of this kind and subject told of is over.
	Cleared bool `json:"cleared,omitempty"`
	// Time is when the alarm was raised; zero is now.
	Time time.Time `json:"time"`
}

// Kinds of alarms.
const (
	AlarmStoreBackwards = "store_backwards" // a stream has fewer messages than it had
	AlarmStoreMissing   = "store_missing"   // a message is missing
	AlarmStoreCorrupt   = "store_corrupt"   // a message or the description of a stream cannot be read
	AlarmStoreFrozen    = "store_frozen"    // the embedded server cannot write
	AlarmStoreFull      = "store_full"      // events are refused
	AlarmStreamRemoved  = "stream_removed"  // somebody removed a stream
	AlarmStreamChanged  = "stream_changed"  // somebody changed a stream
	AlarmReplicasAway   = "replicas_away"   // a NATS server is away, or behind with its replicas
	AlarmNoJetStream    = "no_jetstream"    // NATS keeps no streams
	AlarmNATSUnfit      = "nats_unfit"      // NATS cannot serve the bridge as it is
	AlarmConnection     = "connection"      // NATS closed a connection with an error
	AlarmCredentials    = "credentials"     // NATS refuses the credentials of a connection
	AlarmClock          = "clock"           // the clock jumped
	AlarmExpired        = "expired"         // events left the stream unhandled
	AlarmJournalFull    = "journal_full"    // the journal is nearly full
	AlarmJournalBehind  = "journal_behind"  // NATS has not taken for a while what is in the journal
	AlarmJournalFailed  = "journal_failed"  // the journal cannot be written
	AlarmJournalDamaged = "journal_damaged" // records of the journal cannot be read, or are missing
	AlarmSetAside       = "set_aside"       // NATS does not take a message
	AlarmUnknownSource  = "unknown_source"  // webhooks came for a source that is not configured
	AlarmQuarantineFull = "quarantine_full" // unusable deliveries are refused
	AlarmQuarantined    = "quarantined"     // deliveries have been in the quarantine for long
	AlarmRefused        = "refused"         // deliveries of a source are not authentic
	AlarmQuota          = "quota"           // other programs use more than their quota
	AlarmIDTaken        = "id_taken"        // a message has the id of another one
	AlarmExhausted      = "exhausted"       // events are not delivered any more, and have no dead letter
	AlarmCommand        = "command"         // the command of a consumer cannot be started
	AlarmTargetGone     = "target_gone"     // a target says that it is gone for good (410)
	AlarmTargetDown     = "target_down"     // a target fails and is not called for a while
	AlarmTargetBlocked  = "target_blocked"  // calls to a target's address are not allowed

	AlarmConsumerRemoved  = "consumer_removed"  // somebody removed the durable of a consumer
	AlarmConsumerChanged  = "consumer_changed"  // somebody changed the durable of a consumer
	AlarmConsumerUnusable = "consumer_unusable" // the durable cannot be given its settings
	AlarmConsumerOrphaned = "consumer_orphaned" // the configuration does not name the consumer any more
	AlarmConsumerNarrowed = "consumer_narrowed" // a new filter passes over events that waited
	AlarmLeftBehind       = "left_behind"       // events or deliveries wait that the configuration no longer reads
	AlarmDurableDamaged   = "durable_damaged"   // the server cannot read the durable's files

	AlarmDeadLetters     = "dead_letters"     // a consumer gave up on events
	AlarmConsumerFailing = "consumer_failing" // a consumer's attempts fail
	AlarmConsumerUnread  = "consumer_unread"  // a consumer's events wait and nobody fetches them

	AlarmArchiveRefused = "archive_refused" // an archive may not fetch outputs from a host
	AlarmArchiveNoRoom  = "archive_no_room" // an archive has no room
	AlarmArchiveFailed  = "archive_failed"  // an archive cannot be written
	AlarmArchiveExpires = "archive_expires" // outputs that are not archived will soon be deleted

	AlarmSilence            = "silence"             // the webhooks of a source have stopped
	AlarmPredictionConflict = "prediction_conflict" // a prediction ended twice with different results
	AlarmPredictionLost     = "prediction_lost"     // a prediction was given up
	AlarmPolling            = "polling"             // the provider's API does not answer as it should
	AlarmPollsFull          = "polls_full"          // the bucket of polls has no room
	AlarmViewFailed         = "view_failed"         // the view cannot be used
	AlarmViewBehind         = "view_behind"         // the view does not keep up with the events
)

// AlarmKinds are all kinds of alarms.
var AlarmKinds = []string{
	AlarmStoreBackwards, AlarmStoreMissing, AlarmStoreCorrupt, AlarmStoreFrozen, AlarmStoreFull, AlarmStreamRemoved, AlarmStreamChanged, AlarmReplicasAway, AlarmNoJetStream,
	AlarmNATSUnfit, AlarmConnection, AlarmCredentials,
	AlarmClock, AlarmExpired,
	AlarmJournalFull, AlarmJournalBehind, AlarmJournalFailed, AlarmJournalDamaged, AlarmSetAside, AlarmUnknownSource, AlarmQuarantineFull, AlarmQuarantined, AlarmRefused,
	AlarmQuota, AlarmIDTaken, AlarmExhausted, AlarmCommand,
	AlarmTargetGone, AlarmTargetDown, AlarmTargetBlocked,
	AlarmConsumerRemoved, AlarmConsumerChanged, AlarmConsumerUnusable, AlarmConsumerOrphaned, AlarmConsumerNarrowed, AlarmLeftBehind, AlarmDurableDamaged,
	AlarmDeadLetters, AlarmConsumerFailing, AlarmConsumerUnread,
	AlarmArchiveRefused, AlarmArchiveNoRoom, AlarmArchiveFailed, AlarmArchiveExpires,
	AlarmSilence, AlarmPredictionConflict, AlarmPredictionLost, AlarmPolling, AlarmPollsFull, AlarmViewFailed, AlarmViewBehind,
}

// Alarmer takes alarms. Raise never blocks and never fails: an alarm that cannot be stored
// is at least logged. It is safe for concurrent use.
type Alarmer interface {
	Raise(a Alarm)
}

// NoAlarms is an [Alarmer] that drops every alarm.
type NoAlarms struct{}

// Raise does nothing.
func (NoAlarms) Raise(Alarm) {}
