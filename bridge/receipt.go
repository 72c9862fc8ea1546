package bridge

// Result says what became of an accepted delivery.
type Result string

// Results of a publish.
const (
	// Stored: the event is durable and was not there before.
	Stored Result = "stored"
	// Duplicate: an event with this id is durable already.
	Duplicate Result = "duplicate"
	// Spooled: the event is durable on this machine and is on its way to the stream, which has not acknowledged it in time.
	Spooled Result = "spooled"
	// Quarantined: the delivery is durable and did not become an event.
	Quarantined Result = "quarantined"
	// Unconfirmed: the delivery is durable, and the provider will be asked what it says.
	Unconfirmed Result = "unconfirmed"
	// ProgressOnly: the delivery told of progress, was passed on and is not kept.
	ProgressOnly Result = "progress"
	// Erasure: the prediction was erased for good, so nothing of the delivery is kept.
	Erasure Result = "erased"
)

// Receipt is the proof that an event is durable.
type Receipt struct {
	Result Result
	// Stream and Sequence locate the event; for a duplicate they locate the copy that was
	// stored first.
	Stream   string
	Sequence uint64
}
