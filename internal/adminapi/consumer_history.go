package adminapi

import "time"

// ConsumerHistory says how a consumer did, as far as the view of the answering process was told.
type ConsumerHistory struct {
	// Backlog is how many events waited for it in the last 24 hours, the oldest first: at most one
	// for each five minutes. It begins when this process, or its view, was made.
	Backlog  []Backlog     `json:"backlog"`
	Attempts AttemptCounts `json:"attempts"`
}

// Backlog is how many events waited for a consumer at a time.
type Backlog struct {
	At      time.Time `json:"at"`
	Pending uint64    `json:"pending"`
}

// AttemptCounts counts the last attempt of a consumer on each of the newest events.
type AttemptCounts struct {
	Count int `json:"count"`
	// Verdicts counts them by verdict, such as done, retry and dead.
	Verdicts map[string]int `json:"verdicts"`
	// P50 and P95 are how long they took, in seconds.
	P50 float64 `json:"p50"`
	P95 float64 `json:"p95"`
	// Since is when the first of them ended, zero without any.
	Since time.Time `json:"since,omitzero"`
}
