package bridge

import "time"

// ViewPosition says which events a view has. Events behind it stay in the stream as those of
// a durable do, unless the stream is nearly full.
type ViewPosition struct {
	// Folded is the sequence of the last event in the view.
	Folded uint64 `json:"folded"`
	// Created is when the stream of events was created.
	Created time.Time `json:"created"`
}
