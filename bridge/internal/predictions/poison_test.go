package predictions

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/predictions/poller"
	"github.com/hookspan/hookspan/bridge/internal/view/fold/foldtest"
	"github.com/hookspan/hookspan/internal/streams"
)

// No time that a provider can write holds up later events.
func TestTimesOfNoCalendarHoldNothingUp(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := r.start("one", r.store)
	const odd = `"created_at":"0000-01-01T00:00:00+14:00","completed_at":"9999-12-31T23:59:59-12:00"`
	r.publish(r.says("a", running+","+odd))
	r.publish(r.says("a", `"status":"completed",`+odd))
	r.publish(r.says("b", finished))
	r.folded(p)
	s := r.state("a")
	require.True(t, s.Terminal())
	require.Zero(t, s.CreatedAt)
	require.Zero(t, s.CompletedAt)
	require.True(t, r.state("b").Terminal())
}

// Forged events of a program that may publish are bounded, and an entry that NATS does not
// take holds up nothing.
func TestLargeEntriesHoldNothingUp(t *testing.T) {
	r := newRig(t)
	r.times.hold, r.times.patience = patience, 2*patience // megabytes take their time
	p := r.start("one", r.store)
	long := strings.Repeat("<", 2<<20) // six times as much in JSON
	forge := func(e *bridge.Event, body any) {
		raw, err := json.Marshal(body)
		require.NoError(t, err)
		raw = []byte(strings.ReplaceAll(string(raw), `\u003c`, "<"))
		_, err = r.JS.PublishMsg(t.Context(), &nats.Msg{Subject: r.Names.SubjectOf(e), Header: nats.Header(e.Header()), Data: raw})
		require.NoError(t, err)
	}
	forge(r.watches("watched", bridge.Watch{}), bridge.Watch{Reference: long})
	forge(r.loses("lost"), bridge.Lost{Error: long, LostAt: time.Now()})
	end := r.says("archived", finished)
	r.publish(end)
	forge(archivedOf(t, end), bridge.Archived{Event: end.ID, Manifest: long})
	for _, id := range []string{"b", "c", "d", "e", "f", "g"} {
		r.publish(r.says(id, finished))
	}
	r.folded(p)
	for _, id := range []string{"b", "c", "d", "e", "f", "g"} {
		require.True(t, r.state(id).Terminal())
	}
	require.True(t, r.state("archived").Terminal())
	require.NotNil(t, r.state("lost").Lost)
	require.True(t, r.state("watched").Open())
}

type inner struct{ next Store }

func (s inner) Publish(ctx context.Context, e *bridge.Event) (bridge.Receipt, error) {
	return s.next.Publish(ctx, e)
}

func (s inner) Store(ctx context.Context, stream string, m *nats.Msg) (bridge.Receipt, error) {
	return s.next.Store(ctx, stream, m)
}

func (s inner) StoreAll(ctx context.Context, stream string, msgs []*nats.Msg) []streams.Outcome {
	return s.next.StoreAll(ctx, stream, msgs)
}

// refusing is a store that never takes subjects with a word in them.
type refusing struct {
	inner

	word string
}

func (s refusing) StoreAll(ctx context.Context, stream string, msgs []*nats.Msg) []streams.Outcome {
	out := make([]streams.Outcome, len(msgs))
	at := slices.IndexFunc(msgs, func(m *nats.Msg) bool { return strings.Contains(m.Subject, s.word) })
	if at < 0 {
		return s.inner.StoreAll(ctx, stream, msgs)
	}
	copy(out, s.inner.StoreAll(ctx, stream, msgs[:at]))
	for i := range out[at:] { // as a Publisher does
		out[at+i].Err = bridge.ErrUnavailable
	}
	out[at].Err = bridge.ErrTooLarge
	return out
}

// A write that NATS never takes is left out, and later ones are written.
func TestTooLargeHoldsNothingUp(t *testing.T) {
	r := newRig(t)
	for _, id := range []string{"a", "large", "b", "large-too", "c"} {
		r.publish(r.says(id, running))
	}
	p := r.start("one", refusing{inner{r.store}, "entry.get3w.large"})
	r.folded(p)
	for _, id := range []string{"a", "b", "c"} {
		require.True(t, r.state(id).Open())
		require.NotNil(t, r.record(id))
	}
	require.NotNil(t, r.record("large"), "it is still asked for")
	require.Nil(t, r.kept(entryKey("large")))
	require.Equal(t, 2, p.logs.FilterMessageSnippet("never takes").Len())
}

// An unreadable open record is written anew with the prediction's next event.
func TestUnreadableRecordHoldsNothingUp(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	_, err := r.JS.Publish(t.Context(), r.Names.PredictionsSubject(openKey("a")), []byte("{"))
	require.NoError(t, err)
	p := r.start("one", r.store)
	r.publish(r.says("a", running))
	r.folded(p)
	require.NotNil(t, r.record("a"))
	require.Equal(t, 1, p.logs.FilterMessageSnippet("cannot be read").Len())
}

// silentStore is a store that can fall silent.
type silentStore struct {
	inner

	silent atomic.Bool
}

func (s *silentStore) StoreAll(ctx context.Context, stream string, msgs []*nats.Msg) []streams.Outcome {
	if s.silent.Load() {
		<-ctx.Done()
	}
	return s.inner.StoreAll(ctx, stream, msgs)
}

// A store that stands still raises an alarm that says how far it is behind.
func TestStandstillIsTold(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	store := &silentStore{inner: inner{r.store}}
	l := NewLeader(r.JS, store, Config{Names: r.Names, Process: "one", Keep: time.Hour, Alarms: r.heard})
	l.times = shortTimes
	l.times.stuck = time.Second
	run(t, l)
	behind := func() uint64 {
		status, err := r.reader.Status(t.Context())
		if err != nil {
			return 99
		}
		return status.Behind
	}
	r.eventually(func() bool { return behind() == 0 })
	store.silent.Store(true)
	r.publish(r.says("a", running))
	r.publish(r.says("b", running))
	r.eventually(func() bool { return behind() == 2 })
	require.Empty(t, r.heard.Kinds())
	r.eventually(func() bool { return slices.Contains(r.heard.Kinds(), bridge.AlarmPredictionsStuck) })
	require.Contains(t, r.heard.All()[0].Text, "no event was folded for")
	store.silent.Store(false)
	r.eventually(func() bool { return behind() == 0 })
	require.True(t, r.state("b").Open())
}

// poisoned is a store that fails for subjects with a word in them.
type poisoned struct {
	inner

	word string
}

func (s poisoned) StoreAll(ctx context.Context, stream string, msgs []*nats.Msg) []streams.Outcome {
	if slices.ContainsFunc(msgs, func(m *nats.Msg) bool { return strings.Contains(m.Subject, s.word) }) {
		out := make([]streams.Outcome, len(msgs))
		for i := range out {
			out[i].Err = bridge.ErrUnknown
		}
		return out
	}
	return s.inner.StoreAll(ctx, stream, msgs)
}

// The same for a leader that starts again and again at one event.
func TestPoisonedEventIsTold(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	l := NewLeader(r.JS, poisoned{inner{r.store}, "poison"}, Config{Names: r.Names, Process: "one", Keep: time.Hour, Alarms: r.heard})
	l.times = shortTimes
	l.times.stuck = time.Second
	r.publish(r.says("a", running))
	run(t, l)
	r.eventually(func() bool { return r.kept(entryKey("a")) != nil })
	r.publish(r.says("poison", running))
	r.eventually(func() bool { return slices.Contains(r.heard.Kinds(), bridge.AlarmPredictionsStuck) })
	require.Contains(t, r.heard.All()[0].Text, bridge.ErrUnknown.Error())
}

// It is no standstill when another process led meanwhile, or when this one made progress.
func TestStandstill(t *testing.T) {
	t.Parallel()
	l := NewLeader(nil, nil, Config{})
	s := &l.standstill
	at := func(second int) time.Time { return foldtest.Noon.Add(time.Duration(second) * time.Second) }
	ends := func(began, ended int, folded uint64, err error) bool {
		led := newLeadership(l)
		led.started = at(began)
		led.foldedTo.Store(folded)
		return s.note(led, at(ended), err)
	}
	require.False(t, ends(0, 10, 0, errKilled))
	require.False(t, ends(15, 59, 0, errKilled))
	require.True(t, ends(60, 61, 0, poller.ErrNotLeader))
	require.False(t, ends(62, 70, 5, errKilled), "it went on")
	require.True(t, ends(75, 130, 5, errKilled))
	require.True(t, ends(130, 131, 4, errKilled), "it began before where it was")
	require.True(t, ends(131, 132, 5, errKilled), "and is only there again")
	require.False(t, ends(200, 201, 5, errKilled), "another one has led")
	require.True(t, ends(205, 270, 5, errKilled))
	anew := newLeadership(l)
	anew.started, anew.meta.ID = at(271), "new"
	anew.foldedTo.Store(3)
	require.False(t, s.note(anew, at(272), errKilled), "it is folded anew")
	suspended := newLeadership(l)
	suspended.started, suspended.movedAt = at(202), at(203)
	suspended.current.Store(1)
	require.False(t, s.note(suspended, at(9000), poller.ErrNotLeader), "another one leads")
}

// The alarm has whole sentences, whatever ends the error's text.
func TestStandstillAlarmIsWellFormed(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{"is it away?": "is it away? Webhooks", "it failed.": "it failed. Webhooks", "EOF": "EOF. Webhooks", "one\ntwo": "one; two. Webhooks"} {
		require.Contains(t, (&standstill{}).alarm("S", errors.New(text)).Text, want)
	}
}
