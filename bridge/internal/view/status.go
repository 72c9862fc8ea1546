package view

import (
	"slices"
	"sync"
	"time"

	"github.com/hookspan/hookspan/bridge"
)

// status is the last error.
type status struct {
	mu    sync.Mutex
	err   error
	since time.Time
}

func (s *status) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.since = time.Now().UTC()
	}
	s.err = err
}

func (s *status) succeed() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = nil
}

// settled reports whether the view has everything of each stream that can be read.
func (v *View) settled() bool {
	return !slices.ContainsFunc(v.streams, func(s *stream) bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.err == nil && time.Since(s.current) >= fresh
	})
}

// fresh is how long ago a look may be that saw the view with everything: while it is not
// older, nobody waits for the view.
const fresh = 5 * time.Second

// Status is how far a view is.
type Status struct {
	// Streams are by name of the stream.
	Streams map[string]StreamStatus `json:"streams"`
	// Attempts counts since the view was opened what consumers told of their attempts.
	Attempts AttemptsStatus `json:"attempts"`
	// Rebuilding: the view has not yet all events that the stream had when it was made.
	Rebuilding bool `json:"rebuilding,omitempty"`
	// UpToDate is as [View.UpToDate] says.
	UpToDate bool `json:"up_to_date"`
	// Error is why the view stands still, Since when; empty while it does not.
	Error string    `json:"error,omitempty"`
	Since time.Time `json:"since,omitzero"`
}

// AttemptsStatus counts attempts: Folded ones, those that were Dropped because the view was
// slower (in blocks), and those on an Unknown event or that could not be read.
type AttemptsStatus struct {
	Folded  uint64 `json:"folded"`
	Dropped uint64 `json:"dropped"`
	Unknown uint64 `json:"unknown"`
}

// StreamStatus is how far a view is in one stream.
type StreamStatus struct {
	// Folded is the sequence of the last folded message, FoldedAt when that was stored; zero
	// before the first one.
	Folded   uint64    `json:"folded"`
	FoldedAt time.Time `json:"folded_at,omitzero"`
	// Behind is how many messages are still to be folded, as was last seen.
	Behind uint64 `json:"behind"`
	// Messages is how many messages the stream had a moment ago; of the stream of events it is
	// not known.
	Messages uint64 `json:"messages,omitempty"`
	// Error is why the stream cannot be read; empty while it can.
	Error string `json:"error,omitempty"`
}

// Status returns how far the view is. It does not ask the server.
func (v *View) Status() Status {
	st := Status{Streams: map[string]StreamStatus{}, UpToDate: v.UpToDate()}
	st.Attempts = AttemptsStatus{v.attempts.folded.Load(), v.attempts.dropped.Load(), v.attempts.unknown.Load()}
	for _, s := range v.streams {
		s.mu.Lock()
		at := StreamStatus{Folded: s.position.seq, FoldedAt: s.position.stored, Behind: s.pending, Messages: s.messages}
		if s.err != nil {
			at.Error = s.err.Error()
		}
		st.Streams[s.name] = at
		s.mu.Unlock()
	}
	st.Rebuilding = v.rebuilding()
	v.status.mu.Lock()
	defer v.status.mu.Unlock()
	if v.status.err != nil {
		st.Error, st.Since = v.status.err.Error(), v.status.since
	}
	return st
}

// CompleteUntil returns a time until which the view has everything of a stream, as far as the
// view keeps it. It is zero when nothing is known of the stream.
func (v *View) CompleteUntil(stream string) (at time.Time) {
	for _, s := range v.streams {
		if s.name != stream || v.db.Load() == nil {
			continue
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if at = s.position.stored; s.current.After(at) {
			at = s.current
		}
	}
	return at.UTC()
}

// Position returns how far the view is in the stream of events, zero before it has begun.
func (v *View) Position() bridge.ViewPosition {
	p := v.events().at()
	return bridge.ViewPosition{Folded: p.seq, Created: p.created}
}

// rebuilding reports whether events that the stream had when the view was made are missing.
func (v *View) rebuilding() bool {
	events := v.events()
	events.mu.Lock()
	defer events.mu.Unlock()
	p := events.position
	return p.created.IsZero() || p.seq < p.goal && events.current.IsZero()
}

// UpToDate reports whether the view has every event that the stream had a few seconds ago.
// It is false while NATS cannot be asked.
func (v *View) UpToDate() bool {
	events := v.events()
	events.mu.Lock()
	defer events.mu.Unlock()
	return v.db.Load() != nil && time.Since(events.current) < fresh
}
