package bridge

import "time"

// Custody says where an output of a prediction is.
type Custody string

// Custodies.
const (
	// CustodyPending: only the provider has it, as far as is known.
	CustodyPending Custody = "pending"
	// CustodyStored: an archive has it.
	CustodyStored Custody = "stored"
	// CustodyFailed: an archive gave it up.
	CustodyFailed Custody = "failed"
	// CustodyExpired: the provider has deleted it, and no archive has it.
	CustodyExpired Custody = "expired"
)

// PredictionState is what is known of one prediction: what its events say together.
// The same events give the same state, to the byte of its JSON.
type PredictionState struct {
	Source string `json:"source"`
	ID     string `json:"id"`
	Model  string `json:"model,omitempty"`
	// Status is normalised and never goes back: after a terminal one it stays.
	// RawStatus is as the provider wrote it.
	Status    string `json:"status"`
	RawStatus string `json:"raw_status,omitempty"`
	// Error is the provider's message of a failed prediction, its first KiB.
	Error string `json:"error,omitempty"`
	// Origin says how its end became known, e.g. [OriginPoll].
	Origin string `json:"origin,omitempty"`

	// FirstSeen is when its first event was stored.
	FirstSeen time.Time `json:"first_seen"`
	// ExpectedBy is the deadline, else three times the estimated duration after
	// FirstSeen, zero when neither is known.
	ExpectedBy time.Time `json:"expected_by,omitzero"`
	// CreatedAt and CompletedAt are the provider's, ReceivedAt is when its end
	// arrived here.
	CreatedAt   time.Time `json:"created_at,omitzero"`
	CompletedAt time.Time `json:"completed_at,omitzero"`
	ReceivedAt  time.Time `json:"received_at,omitzero"`

	// Announced is what was said of it by who watches or submitted it, nil when
	// nobody did.
	Announced *Announced `json:"announced,omitempty"`

	// Outputs are the first [MaxStateOutputs] of OutputCount.
	Outputs     []OutputState `json:"outputs,omitempty"`
	OutputCount int           `json:"output_count,omitempty"`
	// Stored and Failed count outputs by their custody, all of them; what is left is
	// pending.
	Stored int `json:"stored,omitempty"`
	Failed int `json:"failed,omitempty"`
	// Manifest is the address of what the archive wrote down, the last one.
	Manifest string `json:"manifest,omitempty"`

	// Events says where its events lie, the first one and the last ones.
	Events []EventRef `json:"events"`
	// Conflict: it ended a second time, in another way. The first one counts.
	Conflict bool `json:"conflict,omitempty"`
	// Lost is why the prediction store gave it up.
	Lost *Lost `json:"lost,omitempty"`

	// Sequence is that of the last event that is in it.
	Sequence uint64 `json:"seq"`
}

// Announced is what was said of a prediction beforehand.
type Announced struct {
	// At is when it was said first.
	At                time.Time         `json:"at"`
	Submitted         bool              `json:"submitted,omitempty"`
	Deadline          time.Time         `json:"deadline,omitzero"`
	EstimatedDuration float64           `json:"estimated_duration,omitempty"` // seconds
	Reference         string            `json:"reference,omitempty"`
	Tenant            string            `json:"tenant,omitempty"`
	Metadata          map[string]string `json:"metadata,omitempty"`
}

// OutputState is one output of a prediction.
type OutputState struct {
	// URL is where the provider has it, without query; empty for an output that is no
	// address.
	URL     string  `json:"url,omitempty"`
	Custody Custody `json:"custody"`
	// StoredURL is where the archive has it.
	StoredURL   string `json:"stored_url,omitempty"`
	Bytes       int64  `json:"bytes,omitempty"`
	ContentType string `json:"content_type,omitempty"`
	SHA256      string `json:"sha256,omitempty"`
	Error       string `json:"error,omitempty"`
}

// EventRef says where an event lies in the stream of events.
type EventRef struct {
	Sequence uint64    `json:"seq"`
	ID       string    `json:"id"`
	Kind     string    `json:"kind"`
	Status   string    `json:"status"`
	Origin   string    `json:"origin"`
	StoredAt time.Time `json:"stored_at"`
	Conflict bool      `json:"conflict,omitempty"`
}

// Terminal reports whether it has ended.
func (s *PredictionState) Terminal() bool { return Terminal(s.Status) }

// Open reports whether its end is still waited for.
func (s *PredictionState) Open() bool { return !s.Terminal() && s.Lost == nil }

// Expire gives outputs that nobody keeps the custody that they have at now, when the
// provider keeps them for life after the prediction has ended; zero is for ever. The
// ledger itself does not know what time it is.
func (s *PredictionState) Expire(now time.Time, life time.Duration) {
	end := s.CompletedAt
	if end.IsZero() {
		end = s.ReceivedAt
	}
	if life <= 0 || !s.Terminal() || now.Before(end.Add(life)) {
		return
	}
	for i := range s.Outputs {
		if o := &s.Outputs[i]; o.Custody == CustodyPending && o.URL != "" {
			o.Custody = CustodyExpired
		}
	}
}
