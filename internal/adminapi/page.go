// Package adminapi has the JSON types of the admin API: what operators select, request and get.
// The bridge serves them; the verbs of the command line send and print them.
package adminapi

import "time"

// Page is the part of a call that selects a page.
type Page struct {
	Seqs []uint64 `json:"seqs,omitempty"`
	// After excludes the entries up to that sequence.
	After uint64 `json:"after,omitempty"`
	// Limit bounds the entries looked at, default 100, at most 1000.
	Limit int `json:"limit,omitempty"`
}

// Listed is the part of a list that leads to the next page. Lists begin with the newest entry.
type Listed struct {
	// Next is the cursor of the next page, empty at the end. A page can be short, or empty, and
	// be followed by others.
	Next string `json:"next,omitempty"`
	// AsOf is set when the stream of the entries could not be read, and the view answered alone:
	// what was stored after that time is missing, and what was removed since can still be there.
	AsOf time.Time `json:"as_of,omitzero"`
}

// Content is bytes in JSON: Body when they are UTF-8, otherwise BodyBase64.
type Content struct {
	Body       *string `json:"body,omitempty"`
	BodyBase64 []byte  `json:"body_base64,omitempty"`
}

// Bytes returns the original bytes.
func (b Content) Bytes() []byte {
	if b.Body != nil {
		return []byte(*b.Body)
	}
	return b.BodyBase64
}
