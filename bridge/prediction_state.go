package bridge

import (
	"slices"
	"time"
)

// Custody says who has an output.
type Custody string

// Custodies of an output.
const (
	// CustodyPending: as far as is known, only the provider has it.
	CustodyPending Custody = "pending"
	// CustodyStored: an archive has it.
	CustodyStored Custody = "stored"
	// CustodyFailed: an archive gave it up.
	CustodyFailed Custody = "failed"
	// CustodyExpired: the provider has deleted it, and no archive has it.
	CustodyExpired Custody = "expired"
)

// PredictionState is the state of one prediction, folded from its events. The same events
// give the same state, to the byte of its JSON.
type PredictionState struct {
	Source string `json:"source"`
	ID     string `json:"id"`
	Model  string `json:"model,omitempty"`
	// Status is normalised and keeps its first terminal value. RawStatus is as the provider
	// wrote it.
	Status    string `json:"status"`
	RawStatus string `json:"raw_status,omitempty"`
	// Error is the first KiB of the provider's message about a failed prediction.
	Error string `json:"error,omitempty"`
	// Origin says how the end became known, e.g. [OriginPoll].
	Origin string `json:"origin,omitempty"`

	// FirstSeen is when the first event was stored.
	FirstSeen time.Time `json:"first_seen"`
	// ExpectedBy is the deadline, else FirstSeen plus three times the estimated duration,
	// else zero.
	ExpectedBy time.Time `json:"expected_by,omitzero"`
	// CreatedAt and CompletedAt are the provider's times. ReceivedAt is when the end
	// arrived here.
	CreatedAt   time.Time `json:"created_at,omitzero"`
	CompletedAt time.Time `json:"completed_at,omitzero"`
	ReceivedAt  time.Time `json:"received_at,omitzero"`
	// Inference is how long the model ran, in seconds; 0 is unknown.
	Inference float64 `json:"inference,omitempty"`

	// Announced is nil when nobody watched or submitted the prediction.
	Announced *Announced `json:"announced,omitempty"`

	// Outputs are the first [MaxStateOutputs] of OutputCount.
	Outputs     []OutputState `json:"outputs,omitempty"`
	OutputCount int           `json:"output_count,omitempty"`
	// Stored and Failed count outputs by custody; the others of OutputCount are pending.
	Stored int `json:"stored,omitempty"`
	Failed int `json:"failed,omitempty"`
	// Manifest is the address of the archive's last manifest.
	Manifest string `json:"manifest,omitempty"`

	// Events are the first event and the last ones.
	Events []EventRef `json:"events"`
	// Conflict: a second, different terminal event came. The first one counts.
	Conflict bool `json:"conflict,omitempty"`
	// Lost says why polling gave up the prediction; nil when it did not.
	Lost *Lost `json:"lost,omitempty"`

	// Again is the stream sequence of the last copy that brought the prediction back, such
	// as a redriven dead letter; 0 for none.
	Again uint64 `json:"again,omitempty"`
	// Sequence is the stream sequence of the last folded event.
	Sequence uint64 `json:"seq"`
}

// Announced is what a watch or a submission said about a prediction.
type Announced struct {
	// At is the time of the first announcement.
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
	// URL is the provider's address without its query; empty for an output that is no
	// address.
	URL     string  `json:"url,omitempty"`
	Custody Custody `json:"custody"`
	// StoredURL is the archive's address.
	StoredURL   string `json:"stored_url,omitempty"`
	Bytes       int64  `json:"bytes,omitempty"`
	ContentType string `json:"content_type,omitempty"`
	// ContentEncoding lists the codings of the stored bytes, such as "gzip".
	ContentEncoding string `json:"content_encoding,omitempty"`
	SHA256          string `json:"sha256,omitempty"`
	Error           string `json:"error,omitempty"`
}

// EventRef locates an event in the stream of events.
type EventRef struct {
	Sequence uint64    `json:"seq"`
	ID       string    `json:"id"`
	Kind     string    `json:"kind"`
	Status   string    `json:"status"`
	Origin   string    `json:"origin"`
	StoredAt time.Time `json:"stored_at"`
	Conflict bool      `json:"conflict,omitempty"`
}

// Terminal reports whether the prediction has ended.
func (s *PredictionState) Terminal() bool { return Terminal(s.Status) }

// Open reports whether the prediction has neither ended nor been given up.
func (s *PredictionState) Open() bool { return !s.Terminal() && s.Lost == nil }

// Expire marks pending outputs as expired at now. The provider keeps outputs for life after
// the end; zero is for ever. The view cannot do this itself because its state does not
// depend on the clock.
func (s *PredictionState) Expire(now time.Time, life time.Duration) {
	at := s.OutputsExpireAt(life)
	if at.IsZero() || now.Before(at) {
		return
	}
	for i := range s.Outputs {
		if o := &s.Outputs[i]; o.Custody == CustodyPending && o.URL != "" {
			o.Custody = CustodyExpired
		}
	}
}

// OutputsExpireAt is when the provider deletes outputs that it may have alone, as far as they
// are remembered; zero for none. The provider keeps outputs for life after the end; zero is for
// ever.
func (s *PredictionState) OutputsExpireAt(life time.Duration) time.Time {
	end := s.CompletedAt
	if end.IsZero() {
		end = s.ReceivedAt
	}
	pending := func(o OutputState) bool { return o.Custody == CustodyPending && o.URL != "" }
	if life <= 0 || !s.Terminal() || !slices.ContainsFunc(s.Outputs, pending) {
		return time.Time{}
	}
	return end.Add(life)
}
