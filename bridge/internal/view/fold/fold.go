// Package fold folds the events of a prediction into its state. It does no input or output.
package fold

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"net/url"
	"time"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/printable"
)

// OverdueFactor times the estimate is how long a prediction may take.
const OverdueFactor = 3

// Seconds converts a provider's duration in seconds.
func Seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// At locates an event in the stream of events.
type At struct {
	Sequence uint64
	StoredAt time.Time
	// Again: the event is a copy for views alone, either redriven from the dead letters
	// of predictions or because the views forgot the event, which lies at
	// Original.
	Again    bool
	Original uint64
}

// Folded says what an event changed.
type Folded struct {
	// Known: the state had the event already and did not change.
	Known bool
	// Ended: the event ended the prediction.
	Ended bool
	// Conflict: the event is a second, different end.
	Conflict bool
	// Inference is how long the model ran, as the event that ended the prediction says.
	Inference time.Duration
}

// Fold folds an event into the state of its prediction; the zero state knows nothing.
// Events must come in order, and a known event changes nothing. Unreadable parts of a body
// leave their part of the state as it is. Fold does not keep the event.
func Fold(s *bridge.PredictionState, e *bridge.Event, at At) Folded {
	if at.Sequence <= s.Sequence {
		return Folded{Known: true}
	}
	forgotten := s.ID == ""
	if forgotten {
		s.Source, s.ID, s.Status, s.FirstSeen = e.Source, e.PredictionID, bridge.StatusCreated, at.StoredAt
	}
	s.Sequence = at.Sequence
	if at.Again {
		s.Lost, s.Again = nil, at.Sequence
		// A newer announcement may have come since.
		if kind := e.Kind(); kind != bridge.KindPrediction && (kind != bridge.KindWatch || !forgotten) {
			return Folded{}
		}
	}
	if s.Model == "" {
		s.Model = e.Model
	}
	ref := bridge.EventRef{Sequence: cmp.Or(at.Original, at.Sequence), ID: e.ID, Kind: e.Kind(), Status: e.Status, Origin: e.Origin, StoredAt: at.StoredAt}
	var f Folded
	switch e.Kind() {
	case bridge.KindWatch:
		foldWatch(s, e, at)
	case bridge.KindLost:
		foldLost(s, e)
	case bridge.KindArchived:
		foldArchived(s, e)
		boundOutputs(s)
	case bridge.KindPrediction:
		f = foldPrediction(s, e)
		boundOutputs(s)
		ref.Conflict = f.Conflict
	}
	if !f.Known {
		remember(s, ref)
	}
	return f
}

func foldWatch(s *bridge.PredictionState, e *bridge.Event, at At) {
	w, err := e.Watch()
	if err != nil {
		return
	}
	a := &bridge.Announced{
		At: at.StoredAt, Submitted: w.Submitted, Deadline: w.Deadline, EstimatedDuration: w.EstimatedDuration,
		Reference: printable.Truncate(w.Reference, bridge.MaxReference), Tenant: printable.Truncate(w.Tenant, bridge.MaxReference),
	}
	if fits(w.Metadata) {
		a.Metadata = w.Metadata
	}
	if before := s.Announced; before != nil {
		a.At, a.Submitted = before.At, before.Submitted || a.Submitted
	}
	s.Announced = a
	switch {
	case !a.Deadline.IsZero():
		s.ExpectedBy = a.Deadline
	case a.EstimatedDuration > 0:
		s.ExpectedBy = s.FirstSeen.Add(OverdueFactor * Seconds(a.EstimatedDuration))
	default:
		s.ExpectedBy = time.Time{}
	}
}

// fits reports whether it is valid metadata of a [bridge.Watch].
func fits(metadata map[string]string) bool {
	for name, value := range metadata {
		if bridge.CheckName("metadata", name) != nil || bridge.EncodedLen(value) > bridge.MaxQueryValue {
			return false
		}
	}
	return len(metadata) <= bridge.MaxQueryKeys
}

func foldLost(s *bridge.PredictionState, e *bridge.Event) {
	lost, err := e.Lost()
	if err != nil || s.Terminal() {
		return
	}
	lost.Source, lost.Prediction, lost.Model = s.Source, s.ID, s.Model
	lost.Cause = bridge.DeadCause(printable.Truncate(string(lost.Cause), bridge.MaxStatus))
	lost.Status, lost.Error = printable.Truncate(lost.Status, MaxStateError), printable.Truncate(lost.Error, MaxStateError)
	s.Lost = lost
}

// foldPrediction: after a terminal status comes either the same fact again or a
// contradiction.
func foldPrediction(s *bridge.PredictionState, e *bridge.Event) Folded {
	if s.Terminal() {
		end := endOf(s)
		switch {
		case end == e.ID:
			return Folded{Known: true}
		case end == "" && e.Status == s.Status: // the end is known from the archive alone
		case bridge.Terminal(e.Status):
			s.Conflict = true
			return Folded{Conflict: true}
		}
		return Folded{}
	}
	if !bridge.Terminal(e.Status) && e.Status == bridge.StatusCreated && s.Status != bridge.StatusCreated {
		return Folded{} // the prediction has been further
	}
	s.Status, s.RawStatus = e.Status, e.RawStatus
	p, err := e.Prediction()
	if err != nil {
		p = &bridge.Prediction{}
	}
	if !p.CreatedAt.IsZero() {
		s.CreatedAt = p.CreatedAt.UTC()
	}
	if !s.Terminal() {
		return Folded{}
	}
	s.Lost, s.Origin, s.ReceivedAt = nil, e.Origin, e.ReceivedAt.UTC()
	if !p.CompletedAt.IsZero() {
		s.CompletedAt = p.CompletedAt.UTC()
	}
	s.Inference = p.Inference.Seconds()
	s.Error = printable.Truncate(p.Error, MaxStateError)
	s.OutputCount = len(p.Outputs)
	for _, o := range p.Outputs[:min(len(p.Outputs), MaxStateOutputs)] {
		s.Outputs = append(s.Outputs, bridge.OutputState{URL: withoutQuery(o.URL), Custody: bridge.CustodyPending})
	}
	return Folded{Ended: true, Inference: p.Inference}
}

// foldArchived also ends a prediction whose other events were forgotten.
func foldArchived(s *bridge.PredictionState, e *bridge.Event) {
	a, err := e.Archived()
	if err != nil {
		return
	}
	if !s.Terminal() && bridge.Terminal(e.Status) {
		s.Status, s.RawStatus, s.Lost = e.Status, e.RawStatus, nil
		s.ReceivedAt = e.ReceivedAt.UTC()
		s.OutputCount = len(a.Outputs) + len(a.Missing)
		s.Outputs = make([]bridge.OutputState, min(s.OutputCount, MaxStateOutputs))
		for i := range s.Outputs {
			s.Outputs[i].Custody = bridge.CustodyPending
		}
	} else if end := endOf(s); end != "" && end != a.Event {
		return // the archive of the end that does not count
	}
	s.Manifest = bounded(a.Manifest)
	if a.Abridged {
		s.Stored, s.Failed = s.OutputCount, 0
		for i := range s.Outputs {
			s.Outputs[i].Custody = bridge.CustodyStored
		}
		return
	}
	s.Stored, s.Failed = len(a.Outputs), len(a.Missing)
	for _, o := range a.Outputs {
		if o.N >= 0 && o.N < len(s.Outputs) {
			s.Outputs[o.N] = bridge.OutputState{
				URL: bounded(o.SourceURL), Custody: bridge.CustodyStored, StoredURL: bounded(o.URL),
				Bytes: o.Bytes, ContentType: printable.Truncate(o.ContentType, bridge.MaxContentType),
				ContentEncoding: printable.Truncate(o.ContentEncoding, bridge.MaxContentType), SHA256: printable.Truncate(o.SHA256, hex.EncodedLen(sha256.Size)),
			}
		}
	}
	for _, m := range a.Missing {
		if m.N >= 0 && m.N < len(s.Outputs) {
			s.Outputs[m.N] = bridge.OutputState{
				URL: bounded(m.SourceURL), Custody: bridge.CustodyFailed, Error: printable.Truncate(m.Error, MaxStateError),
			}
		}
	}
}

// endOf is the id of the terminal event, "" when none is remembered.
func endOf(s *bridge.PredictionState) string {
	for _, ref := range s.Events {
		if ref.Kind == bridge.KindPrediction && bridge.Terminal(ref.Status) && !ref.Conflict {
			return ref.ID
		}
	}
	return ""
}

// remember adds the event's place. The first event and the terminal one are never dropped.
func remember(s *bridge.PredictionState, ref bridge.EventRef) {
	s.Events = append(s.Events, ref)
	if len(s.Events) <= MaxStateEvents {
		return
	}
	end := endOf(s)
	for i := 1; i < len(s.Events); i++ {
		if s.Events[i].ID != end {
			s.Events = append(s.Events[:i], s.Events[i+1:]...)
			return
		}
	}
}

// maxOutputs bounds the remembered outputs, in bytes. Larger ones are left out as a whole;
// the events have them.
const maxOutputs = 128 << 10

func boundOutputs(s *bridge.PredictionState) {
	bytes := 0
	for i := range s.Outputs {
		o := &s.Outputs[i]
		bytes += len(o.URL) + len(o.StoredURL) + len(o.ContentType) + len(o.ContentEncoding) + len(o.Error)
	}
	if bytes > maxOutputs {
		s.Outputs = nil
	}
}

// withoutQuery drops the query, which can hold credentials.
func withoutQuery(address string) string {
	u, err := url.Parse(bounded(address))
	if err != nil {
		return ""
	}
	u.User, u.RawQuery, u.ForceQuery, u.Fragment, u.RawFragment = nil, "", false, "", ""
	return u.String()
}

func bounded(address string) string {
	if len(address) > MaxStateURL {
		return ""
	}
	return address
}
