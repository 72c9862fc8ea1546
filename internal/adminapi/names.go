package adminapi

// Names are what calls can name, sorted.
type Names struct {
	// Consumers have a durable, or are configured.
	Consumers []string `json:"consumers"`
	// Sources are configured.
	Sources []string `json:"sources"`
}
