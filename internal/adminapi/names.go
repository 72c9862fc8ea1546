package adminapi

// Names are the names that calls can use, sorted.
type Names struct {
	// Consumers have a durable, or are configured.
	Consumers []string `json:"consumers"`
	// Sources are configured.
	Sources []string `json:"sources"`
}
