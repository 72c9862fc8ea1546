package bridge

// Result says what became of an event that was accepted.
type Result string

// Results of a publish.
const (
	// Stored: the event is durable and was not there before.
	Stored Result = "stored"
	// Duplicate: an event with this id is durable already.
	Duplicate Result = "duplicate"
	// Spooled: the event is durable on this machine and on its way to the
	// stream.
	Spooled Result = "spooled"
	// Quarantined: the delivery is durable, and not an event.
	Quarantined Result = "quarantined"
)

// Receipt is the proof that an event is durable.
type Receipt struct {
	Result Result
	// Stream and Sequence say where the event lies. For a duplicate they are
	// those of the copy that was stored first.
	Stream   string
	Sequence uint64
}
