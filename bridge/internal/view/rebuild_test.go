package view

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/ncruces/go-sqlite3"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/view/fold/foldtest"
)

// derived are the tables whose rows come from the streams.
var derived = []string{"predictions", "events", "horizon", "activity", "tallies", "failures", "dead", "dead_groups", "kept", "alarms"}

// rows are all rows that the streams determine, one line each.
func (x *viewed) rows() (out []string) {
	x.r.t.Helper()
	require.NoError(x.r.t, x.read(x.r.t.Context(), func(c *conn) error {
		for _, table := range derived {
			err := c.query("SELECT * FROM "+table+" ORDER BY 1, 2", func(s *sqlite3.Stmt) error {
				line := table
				for i := range s.ColumnCount() {
					line += "|" + s.ColumnText(i)
				}
				out = append(out, line)
				return nil
			})
			if err != nil {
				return err
			}
		}
		return nil
	}))
	return out
}

// story publishes what can happen to predictions, with pieces of it folded at a time.
func (r *rig) story(pause func()) {
	r.t.Helper()
	for i := range 30 {
		id := fmt.Sprint("p", i)
		end := says(r.t, id, finished)
		steps := []*bridge.Event{watched(r.t, id, bridge.Watch{Reference: fmt.Sprint("order ", i%3), EstimatedDuration: 20}), says(r.t, id, running)}
		switch i % 5 {
		case 0:
			steps = append(steps, end, says(r.t, id, `"status":"failed","error":"no"`))
		case 1:
			steps = append(steps, end, archivedOf(r.t, end))
		case 2:
			lost, err := (&bridge.Lost{Source: "get3w", Prediction: id, Cause: bridge.DeadNotFound, LostAt: foldtest.Noon}).Event()
			require.NoError(r.t, err)
			steps = append(steps, lost)
		case 3:
			steps = append(steps, end, says(r.t, id, running))
		}
		for _, e := range steps {
			seq := r.publish(e).Sequence
			if i%7 == 0 {
				pause()
			}
			if i%10 == 2 && e.Kind() == bridge.KindLost {
				r.again(bridge.PredictionsConsumer, steps[0], bridge.Again{Sequence: seq - 2, Redrives: 1})
			}
			r.again("billing", e, bridge.Again{Attempt: 2, Sequence: seq})
		}
	}
	r.kills("billing", says(r.t, "p1", finished))
	r.keeps("syntax")
	r.raises(bridge.AlarmClock)
}

func archivedOf(t testing.TB, of *bridge.Event) *bridge.Event {
	t.Helper()
	e := foldtest.Archived(t, of, bridge.Archived{Outputs: []bridge.ArchivedOutput{{N: 0, URL: "file:///a.png"}}, Manifest: "file:///m.json"})
	e.PredictionID = of.PredictionID
	return e
}

// kills publishes a dead letter.
func (r *rig) kills(consumer string, e *bridge.Event) uint64 {
	r.t.Helper()
	d := bridge.DeadLetter{Consumer: consumer, Cause: bridge.DeadExhausted, Fault: bridge.FaultFailed, Error: "boom", Attempts: 3, Sequence: 1}
	ack, err := r.JS.PublishMsg(r.t.Context(), &nats.Msg{
		Subject: r.Names.Dead(consumer, r.Names.SubjectOf(e)), Header: nats.Header(d.Header(e.Header())), Data: e.Body,
	})
	require.NoError(r.t, err)
	return ack.Sequence
}

// keeps publishes a quarantined delivery and a refused one.
func (r *rig) keeps(cause string) {
	r.t.Helper()
	k := bridge.KeptDelivery{Source: "get3w", Cause: cause, Detail: "not JSON", ReceivedAt: foldtest.Noon, Body: []byte("{"), BodyBytes: 1}
	for _, subject := range []string{r.Names.Quarantine("get3w", cause), r.Names.Refused("get3w", cause)} {
		_, err := r.JS.PublishMsg(r.t.Context(), &nats.Msg{Subject: subject, Header: nats.Header(k.Message()), Data: k.Body})
		require.NoError(r.t, err)
	}
}

func (r *rig) raises(kind string) {
	r.t.Helper()
	_, err := r.JS.Publish(r.t.Context(), r.Names.Alarm(kind), fmt.Appendf(nil, `{"kind":%q,"text":"x","time":"2026-01-31T12:00:00Z"}`, kind))
	require.NoError(r.t, err)
}

// However the events are cut into blocks, and whenever they are folded, the rows are the
// same.
func TestRebuiltRowsAreTheSame(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	live := r.start("live.db")
	r.story(live.folded)
	live.folded()
	want := live.rows()
	require.Greater(t, len(want), 100)

	late := r.start("late.db")
	late.folded()
	require.Equal(t, want, late.rows())

	live.Rebuild()
	r.eventually(func() bool { return live.logs.FilterMessageSnippet("made anew").Len() > 0 })
	r.eventually(func() bool { return !live.Status().Rebuilding && live.UpToDate() })
	live.folded()
	require.Equal(t, want, live.rows())
	live.stop()
	again := r.start("live.db")
	again.folded()
	require.Equal(t, want, again.rows(), "also after a restart")
	require.Zero(t, again.logs.FilterMessageSnippet("made anew").Len())
}

// What a message left in the view goes when the message leaves its stream, except for
// events.
func TestRowsGoWithTheirMessages(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	x := r.start("view.db")
	e := says(t, "a", finished)
	r.publish(e)
	var dead []uint64
	for _, consumer := range []string{"billing", "mail", "billing", "mail"} {
		dead = append(dead, r.kills(consumer, e))
	}
	r.keeps("syntax")
	r.keeps("no_id")
	r.raises(bridge.AlarmClock)
	x.folded()
	sequences := func(q DeadQuery) (out []uint64) {
		page, _, err := x.DeadLetters(t.Context(), q)
		require.NoError(t, err)
		for _, d := range page {
			require.Equal(t, e.ID, d.Event)
			out = append(out, d.Sequence)
		}
		return out
	}
	require.Equal(t, []uint64{4, 3, 2, 1}, sequences(DeadQuery{}))
	require.Equal(t, []uint64{4, 2}, sequences(DeadQuery{Consumer: "mail"}))
	require.Equal(t, []uint64{4, 3, 2, 1}, sequences(DeadQuery{Cause: bridge.DeadExhausted}))
	require.Equal(t, []uint64{3, 1}, sequences(DeadQuery{Cause: bridge.DeadExhausted, Consumer: "billing"}))
	require.Equal(t, []uint64{4, 3, 2, 1}, sequences(DeadQuery{Source: "get3w", Prediction: "a"}))
	require.Empty(t, sequences(DeadQuery{Cause: bridge.DeadPoison}))
	require.Len(t, x.timeline("a").Dead, 4)

	stream, err := r.JS.Stream(t.Context(), r.Names.DeadStream())
	require.NoError(t, err)
	for _, seq := range []uint64{dead[0], dead[2], dead[3]} { // the first, one between, and the last
		require.NoError(t, stream.DeleteMsg(t.Context(), seq))
	}
	r.eventually(func() bool { return len(sequences(DeadQuery{})) == 1 })
	require.Equal(t, []uint64{2}, sequences(DeadQuery{}))
	r.kills("billing", e)
	r.eventually(func() bool { return len(sequences(DeadQuery{})) == 2 })

	for _, name := range []string{r.Names.EventsStream(), r.Names.QuarantineStream(), r.Names.AlarmsStream()} {
		stream, err := r.JS.Stream(t.Context(), name)
		require.NoError(t, err)
		require.NoError(t, stream.Purge(t.Context()))
	}
	r.eventually(func() bool {
		kept, _, err := x.Kept(t.Context(), KeptQuery{})
		require.NoError(t, err)
		alarms, _, err := x.Alarms(t.Context(), AlarmQuery{})
		require.NoError(t, err)
		return len(kept)+len(alarms) == 0
	})
	refused, _, err := x.Kept(t.Context(), KeptQuery{Refused: true, Cause: "no_id"})
	require.NoError(t, err)
	require.Len(t, refused, 1)
	require.True(t, x.state("a").Terminal(), "the view keeps what events told")
}

// A stream of events that was made anew, or that lost its newest events, makes the view anew.
// Open predictions that are known elsewhere come back.
func TestEventsMadeAnew(t *testing.T) {
	t.Parallel()
	for name, running := range map[string]bool{"while the view runs": true, "while it is away": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			var known []*bridge.PredictionState
			restore := func(c *Config) {
				c.Restore = func(_ context.Context, put func(*bridge.PredictionState) error) error {
					for _, s := range known {
						if err := put(s); err != nil {
							return err
						}
					}
					return nil
				}
			}
			x := r.start("view.db", restore)
			r.publish(says(t, "old", finished), watched(t, "open", bridge.Watch{Reference: "order 7"}), says(t, "other", finished), says(t, "last", finished))
			x.folded()
			known = []*bridge.PredictionState{x.state("open"), x.state("old")}
			if !running {
				x.stop()
			}
			r.makeAnew(r.Names.EventsStream())
			r.publish(says(t, "new", finished))
			if !running {
				x = r.start("view.db", restore)
			}
			r.eventually(func() bool { _, err := x.Prediction(t.Context(), "get3w", "new"); return err == nil })
			_, err := x.Prediction(t.Context(), "get3w", "old")
			require.ErrorIs(t, err, bridge.ErrNotFound)
			require.Equal(t, []string{"open"}, x.all(Query{Reference: "order 7"}))
			r.publish(says(t, "open", finished))
			r.eventually(func() bool { return x.state("open").Terminal() }, "it hears of events with lower numbers")
		})
	}
}

func (r *rig) makeAnew(name string) {
	r.t.Helper()
	s, err := r.JS.Stream(r.t.Context(), name)
	require.NoError(r.t, err)
	require.NoError(r.t, r.JS.DeleteStream(r.t.Context(), name))
	_, err = r.JS.CreateStream(r.t.Context(), s.CachedInfo().Config)
	require.NoError(r.t, err)
}

// The numbers of lost events are given to others, and the view does not take them for the
// same.
func TestNewestEventsLost(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	x := r.start("view.db")
	r.publish(says(t, "a", finished), says(t, "b", finished))
	x.folded()
	x.stop()
	s, err := r.JS.Stream(t.Context(), r.Names.EventsStream())
	require.NoError(t, err)
	for what, p := range map[string]position{
		"the same":                  {created: s.CachedInfo().Created, seq: 2, stored: x.events().at().stored},
		"a message that is gone":    {created: s.CachedInfo().Created},
		"further than the stream":   {created: s.CachedInfo().Created, seq: 3, stored: x.events().at().stored},
		"another message":           {created: s.CachedInfo().Created, seq: 2, stored: x.events().at().stored.Add(-1)},
		"a stream of the same name": {created: s.CachedInfo().Created.Add(-1), seq: 2, stored: x.events().at().stored},
	} {
		same, err := sameStream(t.Context(), s, p)
		require.NoError(t, err)
		require.Equal(t, what == "the same" || what == "a message that is gone", same, what)
	}
}

// Whatever a publisher says of where and when its message was stored, a view whose last message
// it is goes on behind it.
func TestForgedHeadersOfTheLastMessage(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for i, forged := range []nats.Header{
		{"Nats-Time-Stamp": {"2001-02-03T04:05:06Z"}},
		{"Nats-Time-Stamp": {"yesterday"}},
		{"Nats-Time-Stamp": {"", ""}},
		{"Nats-Sequence": {"1"}},
		{"Nats-Sequence": {"-1"}},
		{"Nats-Subject": {"else"}},
		{"Nats-Subject": {""}},
		{"Nats-Stream": {""}},
	} {
		x := r.start("view.db")
		e := says(t, fmt.Sprint("p", i), finished)
		header := nats.Header(e.Header())
		maps.Copy(header, forged)
		_, err := r.JS.PublishMsg(t.Context(), &nats.Msg{Subject: r.Names.SubjectOf(e), Header: header, Data: e.Body})
		require.NoError(t, err)
		x.folded()
		x.stop()
		x = r.start("view.db")
		r.eventually(x.UpToDate, "%v: %+v", forged, x.Status())
		x.stop()
		require.Empty(t, x.logs.FilterMessageSnippet("made anew").All(), "%v", forged)
		require.Empty(t, x.logs.FilterMessageSnippet("cannot be read, trying again").All(), "%v", forged)
	}
}

// Another stream that was made anew loses its own rows alone.
func TestDeadLettersMadeAnew(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	x := r.start("view.db")
	e := says(t, "a", finished)
	r.publish(e)
	r.kills("billing", e)
	r.kills("billing", e)
	x.folded()
	x.stop()
	r.makeAnew(r.Names.DeadStream())
	r.kills("mail", e)
	x = r.start("view.db")
	x.folded()
	page, _, err := x.DeadLetters(t.Context(), DeadQuery{})
	require.NoError(t, err)
	require.Len(t, page, 1)
	require.Equal(t, "mail", page[0].Consumer)
	require.True(t, x.state("a").Terminal())
}

func TestOldestEventsLeave(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	x := r.start("view.db")
	r.publish(says(t, "a", finished))
	x.folded()
	x.stop()
	r.publish(says(t, "b", finished), says(t, "c", running))
	s, err := r.JS.Stream(t.Context(), r.Names.EventsStream())
	require.NoError(t, err)
	require.NoError(t, s.Purge(t.Context(), jetstream.WithPurgeKeep(1)))
	x = r.start("view.db")
	x.folded()
	require.True(t, x.state("a").Terminal())
	require.True(t, x.state("c").Open())
	_, err = x.Prediction(t.Context(), "get3w", "b")
	require.ErrorIs(t, err, bridge.ErrNotFound)
	require.Equal(t, 1, x.logs.FilterMessageSnippet("left their stream before").Len())
}

// A prediction whose time is over is unknown to a later event, whenever it is folded; open
// ones stay.
func TestKeep(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	v := filled(t, r.dir+"/view.db", blockMessages, 1)
	defer func() { require.NoError(t, v.drop()) }()
	x := &viewed{View: v, r: r}
	v.cfg.Keep = time.Hour
	end := says(t, "a", finished)
	at := func(seq uint64, stored time.Time, e *bridge.Event) message {
		m := message{seq: seq, stored: stored, event: e}
		m.at.Sequence, m.at.StoredAt = seq, stored
		return m
	}
	noon := foldtest.Noon.Add(time.Hour)
	foldDirectly(t, v, []message{
		at(2000, noon, end), at(2001, noon, says(t, "open", running)), at(2002, noon.Add(time.Hour), archivedOf(t, end)), at(2003, noon.Add(time.Hour+1), says(t, "a", running)),
	})
	s := x.state("a")
	require.Equal(t, bridge.StatusProcessing, s.Status, "what was known of it is forgotten")
	require.Len(t, s.Events, 1)
	require.Len(t, x.timeline("a").Events, 1)
	foldDirectly(t, v, []message{at(2004, noon.Add(2*time.Hour), says(t, "b", finished))})
	n, err := v.prunePredictions(time.Now())
	require.NoError(t, err)
	require.Equal(t, pruneAtOnce, n)
	for n == pruneAtOnce {
		n, err = v.prunePredictions(time.Now())
		require.NoError(t, err)
	}
	page, _, err := v.Predictions(t.Context(), Query{})
	require.NoError(t, err)
	var ids []string
	for _, row := range page {
		ids = append(ids, row.State.ID)
	}
	require.Equal(t, []string{"b", "a", "open"}, ids)
	require.Len(t, strings.Split(strings.Join(x.rows(), "\n"), "events|"), 4)

	v.cfg.MaxBytes = 1
	_, err = v.prunePredictions(time.Now())
	require.NoError(t, err)
	page, _, err = v.Predictions(t.Context(), Query{})
	require.NoError(t, err)
	require.Len(t, page, 2, "a view that is too large keeps the open ones")
}
