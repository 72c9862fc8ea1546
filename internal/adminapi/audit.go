package adminapi

import "time"

// Change is a line of the audit: a call of the API that changed something, or may have.
type Change struct {
	// Seq grows from line to line.
	Seq uint64    `json:"seq"`
	At  time.Time `json:"at"`
	// Who is the name of a token, or [Loopback].
	Who   string `json:"who"`
	Scope string `json:"scope"`
	// Route is the method and the pattern of the path, Path the path as it was called, cut
	// after 512 bytes, with the hash of a prediction in place of its id. The query is not kept.
	Route string `json:"route"`
	Path  string `json:"path"`
	// Selection is what the call selected, as JSON, cut after 2048 bytes, with hashes in place
	// of predictions and tenants. What was announced or submitted is not kept.
	Selection string `json:"selection,omitempty"`
	// Count is how many things were changed; nil when the call did not come to know.
	Count  *int `json:"count,omitempty"`
	Status int  `json:"status"`
	// From is the address of the peer.
	From      string `json:"from"`
	RequestID string `json:"request_id"`
}

// AuditList is a page of the audit, the newest line first.
type AuditList struct {
	Changes []Change `json:"changes"`
	// Next is the cursor of the next page, empty at the end.
	Next string `json:"next"`
	// Lost counts the lines since the start of the process that could not be written.
	Lost uint64 `json:"lost"`
}
