// Package adminapi holds the words of the admin API: what operators select, ask for and are
// told, as JSON. The bridge serves them, and the verbs of the command line send and print them.
package adminapi

// Page is the part of a call that says how far it goes.
type Page struct {
	Seqs []uint64 `json:"seqs,omitempty"`
	// After leaves out the entries up to that sequence.
	After uint64 `json:"after,omitempty"`
	// Limit is how many entries are looked at, default 100, at most 1000.
	Limit int `json:"limit,omitempty"`
}

// Listed is the part of a list that says how far it went.
type Listed struct {
	// More is set when there may be more behind Last, the last sequence that was looked
	// at.
	More bool   `json:"more"`
	Last uint64 `json:"last"`
}

// Content is bytes as JSON can hold them: Body is set when they are UTF-8, otherwise
// BodyBase64.
type Content struct {
	Body       *string `json:"body,omitempty"`
	BodyBase64 []byte  `json:"body_base64,omitempty"`
}

// Bytes are what the body was made of.
func (b Content) Bytes() []byte {
	if b.Body != nil {
		return []byte(*b.Body)
	}
	return b.BodyBase64
}
