package adminapi

import "time"

// Journal is the state of a process's journal.
type Journal struct {
	// Records and Bytes are about what waits for NATS; Oldest is when the first of them was
	// accepted. They are exact to some 256 KiB.
	Records  uint64    `json:"records"`
	Bytes    int64     `json:"bytes"`
	MaxBytes int64     `json:"max_bytes"`
	Oldest   time.Time `json:"oldest,omitzero"`
	// SetAside and SetAsideBytes are of what NATS does not take, which also counts against
	// MaxBytes.
	SetAside      int   `json:"set_aside"`
	SetAsideBytes int64 `json:"set_aside_bytes"`
	// Failure is why the journal cannot be written, empty while it can.
	Failure string `json:"failure,omitempty"`
	// Entries are what is set aside, at most [MaxAsideEntries].
	Entries []AsideEntry `json:"entries"`
}

// MaxAsideEntries bounds [Journal].Entries.
const MaxAsideEntries = 1000

// AsideEntry is one message that was set aside.
type AsideEntry struct {
	ID         string    `json:"id"`
	Stream     string    `json:"stream"`
	Subject    string    `json:"subject"`
	Bytes      int       `json:"bytes"`
	Cause      string    `json:"cause"`
	AcceptedAt time.Time `json:"accepted_at"`
	SetAsideAt time.Time `json:"set_aside_at"`
}

// Resent says how many messages were taken back into the journal.
type Resent struct {
	Resent int `json:"resent"`
}

// JournalRecord is one record of a journal, as it is exported and imported.
type JournalRecord struct {
	Stream  string              `json:"stream"`
	Subject string              `json:"subject"`
	Header  map[string][]string `json:"header"`
	// Body is base64 in JSON.
	Body       []byte    `json:"body"`
	AcceptedAt time.Time `json:"accepted_at"`
}
