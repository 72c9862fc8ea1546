package bridge

import "time"

// Archived is the body of an event of [KindArchived]: which outputs of a prediction are
// archived, and where. Its addresses have no query, because queries carry signatures.
type Archived struct {
	Prediction string `json:"prediction"`
	Source     string `json:"source"`
	Model      string `json:"model"`
	// Event is the id of the event that named the outputs.
	Event      string    `json:"event"`
	ArchivedAt time.Time `json:"archived_at"`
	// Outputs are the archived outputs, in the order of the prediction.
	Outputs []ArchivedOutput `json:"outputs"`
	// Missing are the outputs that the archive gave up; the event is a dead letter of the
	// archive.
	Missing []MissingOutput `json:"missing,omitempty"`
	// Abridged: Outputs and Missing are empty because they were too large for a message.
	// The manifest has them.
	Abridged bool `json:"abridged,omitempty"`
	// Manifest is the address of the manifest, which describes each output in full.
	Manifest string `json:"manifest"`
}

// ArchivedOutput is one archived output.
type ArchivedOutput struct {
	// N is the index in the outputs of the prediction, from 0 on.
	N int `json:"n"`
	// URL is file:///… or s3://bucket/key. It does not change.
	URL         string `json:"url"`
	Bytes       int64  `json:"bytes"`
	ContentType string `json:"content_type,omitempty"`
	// ContentEncoding lists the codings of the stored bytes, such as "gzip"; readers must
	// undo them. It is nearly always empty.
	ContentEncoding string `json:"content_encoding,omitempty"`
	// SHA256 is lower-case hex.
	SHA256 string `json:"sha256"`
	// SourceURL is the provider's address without its query; empty for an output that was
	// no address.
	SourceURL string `json:"source_url,omitempty"`
}

// MissingOutput is one output that the archive gave up.
type MissingOutput struct {
	N         int    `json:"n"`
	SourceURL string `json:"source_url,omitempty"`
	Error     string `json:"error"`
}
