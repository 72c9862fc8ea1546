package adminapi

// Places of kept deliveries.
const (
	// PlaceQuarantine: authentic deliveries that could not become an event.
	PlaceQuarantine = "quarantine"
	// PlaceRefused: the ring of deliveries that were not authentic.
	PlaceRefused = "refused"
)

// Places returns all places, in the order of walks.
func Places() []string { return []string{PlaceQuarantine, PlaceRefused} }
