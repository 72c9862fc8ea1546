package view

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/view/fold"
)

// ChangeKind is what became of a prediction.
type ChangeKind string

// Kinds of changes.
const (
	Opened     ChangeKind = "opened"     // its first event came, and it is open
	Reopened   ChangeKind = "reopened"   // it had been given up or had ended, and is open again
	Ended      ChangeKind = "ended"      // its end came
	GivenUp    ChangeKind = "given_up"   // polling gave it up
	Conflicted ChangeKind = "conflicted" // a second, different end came
)

// Change tells of a prediction after the view has stored it.
type Change struct {
	Kind ChangeKind
	// State is the prediction's after the block of events, Event the one that changed it.
	// Neither may be changed.
	State *bridge.PredictionState
	Event *bridge.Event
	At    fold.At
	// Live: the event was stored after this view was made. Others were told of before.
	Live bool
}

// touched is a prediction with events in a block.
type touched struct {
	// num is that of its row, or of the row that it will have. Predictions of a stream that is
	// gone have negative ones.
	num   int64
	state bridge.PredictionState

	stored, changed bool
}

type predictionKey struct{ source, id string }

// eventFold folds one block of events, within one transaction.
type eventFold struct {
	*conn

	keep time.Duration
	goal uint64
	due  func(*bridge.PredictionState) time.Time
	life func(source string) time.Duration
	// erased reports whether the event's prediction is erased; nil is never.
	erased func(*message) bool

	order    []*touched
	byKey    map[predictionKey]*touched
	changes  []Change
	activity activities
}

// fold folds the events and writes what became of them.
func (f *eventFold) fold(block []message) error {
	f.byKey, f.activity = make(map[predictionKey]*touched, len(block)), newActivities()
	for i := range block {
		if block[i].event == nil || f.erased != nil && f.erased(&block[i]) {
			continue
		}
		if err := f.event(&block[i]); err != nil {
			return fmt.Errorf("folding event %d: %w", block[i].seq, err)
		}
	}
	for _, p := range f.order {
		if err := f.write(p); err != nil {
			return fmt.Errorf("writing prediction %q of %s: %w", p.state.ID, p.state.Source, err)
		}
	}
	return f.activity.write(f.conn)
}

func (f *eventFold) event(m *message) error {
	e := m.event
	p, err := f.load(predictionKey{e.Source, e.PredictionID})
	if err != nil {
		return err
	}
	s := &p.state
	if f.outlived(s, m.at) {
		if p, err = f.forget(p); err != nil {
			return err
		}
		s = &p.state
	}
	fresh, closed, before := s.ID == "", !s.Open(), s.Sequence
	did := fold.Fold(s, e, m.at)
	if fresh {
		p.num = int64(m.seq) //nolint:gosec // sequences stay below
	}
	p.changed = p.changed || s.Sequence != before
	if !m.at.Again {
		if err := f.run(insertEvent, m.seq, p.num, shortID(e), e.Kind(), e.Status, e.Origin, m.stored, e.ReceivedAt, did.Conflict, len(e.Body)); err != nil {
			return err
		}
		f.activity.add(s, m, did, closed)
	}
	var kind ChangeKind
	switch {
	case did.Ended:
		kind = Ended
	case did.Conflict:
		kind = Conflicted
	case fresh && s.Open():
		kind = Opened
	case !fresh && closed && s.Open():
		kind = Reopened
	case !closed && s.Lost != nil:
		kind = GivenUp
	default:
		return nil
	}
	f.changes = append(f.changes, Change{Kind: kind, State: s, Event: e, At: m.at, Live: m.seq > f.goal})
	return nil
}

// load returns the prediction, also one that the view does not know.
func (f *eventFold) load(key predictionKey) (*touched, error) {
	if p := f.byKey[key]; p != nil {
		return p, nil
	}
	p := &touched{}
	err := f.query(selectNum, func(s *sqlite3.Stmt) error {
		state, err := stateOf(s, 1)
		if err == nil {
			p.num, p.stored, p.state = s.ColumnInt64(0), true, *state
		}
		return err
	}, key.source, key.id)
	if err != nil {
		return nil, err
	}
	return f.touch(key, p), nil
}

func (f *eventFold) touch(key predictionKey, p *touched) *touched {
	f.byKey[key], f.order = p, append(f.order, p)
	return p
}

// forget removes a prediction whose time is over, and returns what is known from then on. The
// changes of the block keep what was.
func (f *eventFold) forget(p *touched) (*touched, error) {
	p.changed = false
	return f.touch(predictionKey{p.state.Source, p.state.ID}, &touched{}), removePrediction(f.conn, p.num)
}

func (f *eventFold) write(p *touched) error {
	if !p.changed {
		return nil
	}
	s := &p.state
	raw, err := json.Marshal(s)
	if err != nil {
		return err
	}
	var closed, due, goes any
	expires := expiresAt(s, f.life(s.Source))
	if !s.Open() {
		closed, goes = nanos(closedAt(s)), f.goes(s)
	} else {
		due = f.due(s)
	}
	var reference, tenant any
	if a := s.Announced; a != nil {
		reference, tenant = orNull(a.Reference), orNull(a.Tenant)
	}
	columns := []any{p.num, s.Model, s.Status, reference, tenant, closed, due, claimed(s), unheard(s), expires, goes, raw}
	if p.stored {
		return f.run(updatePrediction, columns...)
	}
	if err := f.run(insertPrediction, append(columns, s.Source, s.ID, s.FirstSeen)...); err != nil {
		return err
	}
	return f.run(placeDead, p.num, s.Source, s.ID)
}

func orNull(text string) any {
	if text == "" {
		return nil
	}
	return text
}

// claimed reports whether only programs of other teams have told of the prediction.
func claimed(s *bridge.PredictionState) bool {
	for _, ref := range s.Events {
		if ref.Origin != bridge.OriginClaim {
			return false
		}
	}
	return len(s.Events) > 0
}

// shortID is the event's id without that of its prediction, which most begin with. Other ids
// stand behind a mark.
func shortID(e *bridge.Event) string {
	if rest, ok := strings.CutPrefix(e.ID, e.PredictionID+"/"); ok {
		return "/" + rest
	}
	return "=" + e.ID
}

// longID is the inverse of shortID.
func longID(prediction, short string) string {
	if id, whole := strings.CutPrefix(short, "="); whole {
		return id
	}
	return prediction + short
}

// closedAt is when the event was stored that closed a prediction.
func closedAt(s *bridge.PredictionState) time.Time {
	at := s.ReceivedAt
	if s.Lost != nil {
		at = s.Lost.LostAt
	}
	for _, ref := range s.Events {
		if s.Lost != nil && ref.Kind == bridge.KindLost {
			at = ref.StoredAt // the last event
		}
		if s.Terminal() && bridge.Terminal(ref.Status) && !ref.Conflict {
			return ref.StoredAt // the first event
		}
	}
	return at
}

// unheard reports whether the prediction ended or was given up without a webhook.
func unheard(s *bridge.PredictionState) bool {
	return s.Lost != nil || s.Terminal() && s.Origin == bridge.OriginPoll
}

// expiresAt is when the provider, which keeps outputs for life, deletes those that no archive
// has. It is zero when there are none, or life is.
func expiresAt(s *bridge.PredictionState, life time.Duration) time.Time {
	if life <= 0 || !s.Terminal() || s.OutputCount <= s.Stored {
		return time.Time{}
	}
	with := len(s.Outputs) < s.OutputCount // the state lists the first outputs only
	for _, o := range s.Outputs {
		with = with || o.URL != "" && o.Custody != bridge.CustodyStored
	}
	if !with {
		return time.Time{}
	}
	end := s.CompletedAt
	if end.IsZero() || end.After(s.ReceivedAt) { // nobody may keep it here for ever
		end = s.ReceivedAt
	}
	return end.Add(life)
}

// goes is from when on a closed prediction is kept for f.keep: its end, or later, so that it
// stays until the provider has deleted outputs that no archive has.
func (f *eventFold) goes(s *bridge.PredictionState) time.Time {
	from := closedAt(s)
	if held := expiresAt(s, f.life(s.Source)).Add(-f.keep); held.After(from) {
		return held
	}
	return from
}

// outlived reports whether the state had expired before an event of it was stored. So the
// result does not depend on when the event is folded.
func (f *eventFold) outlived(s *bridge.PredictionState, at fold.At) bool {
	return s.ID != "" && !s.Open() && at.Sequence > s.Sequence && at.StoredAt.After(f.goes(s).Add(f.keep))
}
