package bridge

import "time"

// Archived is the body of an event of [KindArchived]: which outputs of a prediction
// are kept, and where. It holds no query of an address, because queries carry
// signatures.
type Archived struct {
	Prediction string `json:"prediction"`
	Source     string `json:"source"`
	Model      string `json:"model"`
	// Event is the id of the event whose outputs these are.
	Event      string    `json:"event"`
	ArchivedAt time.Time `json:"archived_at"`
	// Outputs are those that are kept, in their order.
	Outputs []ArchivedOutput `json:"outputs"`
	// Missing are those that are not, and will not be by themselves: the event is
	// a dead letter of the archive.
	Missing []MissingOutput `json:"missing,omitempty"`
	// Abridged: Outputs and Missing are empty, because together they were too large
	// for a message. The manifest has them.
	Abridged bool `json:"abridged,omitempty"`
	// Manifest is the address of the manifest, which says more of each output.
	Manifest string `json:"manifest"`
}

// ArchivedOutput is one output that is kept.
type ArchivedOutput struct {
	// N is its place in the outputs of the prediction, from 0 on.
	N int `json:"n"`
	// URL is where it is kept: file:///… or s3://bucket/key. It does not change.
	URL         string `json:"url"`
	Bytes       int64  `json:"bytes"`
	ContentType string `json:"content_type,omitempty"`
	// ContentEncoding is the codings that it came in and is kept in, such as "gzip":
	// whoever reads it must undo them. Nearly always it is empty.
	ContentEncoding string `json:"content_encoding,omitempty"`
	// SHA256 is the checksum of the bytes in lower-case hex.
	SHA256 string `json:"sha256"`
	// SourceURL is where it came from, without query; empty for an output that was
	// no address.
	SourceURL string `json:"source_url,omitempty"`
}

// MissingOutput is one output that is not kept.
type MissingOutput struct {
	N         int    `json:"n"`
	SourceURL string `json:"source_url,omitempty"`
	Error     string `json:"error"`
}
