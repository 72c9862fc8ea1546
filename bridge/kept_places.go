package bridge

// Where a delivery is kept that did not become an event.
const (
	// PlaceQuarantine: authentic deliveries that could not become an event.
	PlaceQuarantine = "quarantine"
	// PlaceRefused: the ring of deliveries that were not authentic.
	PlaceRefused = "refused"
)

// Places are all of them, in the order in which they are walked.
func Places() []string { return []string{PlaceQuarantine, PlaceRefused} }

// PlaceStream is the stream of a place; an unknown place has "".
func (n Names) PlaceStream(place string) string {
	switch place {
	case PlaceQuarantine:
		return n.QuarantineStream()
	case PlaceRefused:
		return n.RefusedStream()
	}
	return ""
}

// PlaceSubject is the subject pattern of the deliveries of a source that were
// kept in a place for a cause; an empty source or cause is every one.
func (n Names) PlaceSubject(place, source, cause string) string {
	if source == "" {
		source = "*"
	}
	if cause == "" {
		cause = "*"
	}
	if place == PlaceRefused {
		return n.Refused(source, cause)
	}
	return n.Quarantine(source, cause)
}
