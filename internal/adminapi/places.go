package adminapi

// Where a delivery is kept that did not become an event.
const (
	// PlaceQuarantine: authentic deliveries that could not become an event.
	PlaceQuarantine = "quarantine"
	// PlaceRefused: the ring of deliveries that were not authentic.
	PlaceRefused = "refused"
)

// Places are all of them, in the order in which they are walked.
func Places() []string { return []string{PlaceQuarantine, PlaceRefused} }
