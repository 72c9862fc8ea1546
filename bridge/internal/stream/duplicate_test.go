package stream_test

import (
	"maps"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/quarantine"
	"github.com/hookspan/hookspan/bridge/internal/stream"
	"github.com/hookspan/hookspan/bridge/internal/stream/streamtest"
	"github.com/hookspan/hookspan/internal/natstest"
	"github.com/hookspan/hookspan/internal/streamread"
)

// deadLetterOf returns a dead letter of the consumer search, of which user app may write dead
// letters.
func deadLetterOf(b *streamtest.Bench, e *bridge.Event, problem string) *nats.Msg {
	deadLetter := bridge.DeadLetter{
		Consumer: "search", Cause: bridge.DeadPermanent, Fault: bridge.FaultFailed, Error: problem, Subject: b.Names.SubjectOf(e), Sequence: 1,
	}
	header := deadLetter.Header(e.Header())
	header[bridge.HeaderMsgID] = []string{deadLetter.ID(e.ID)}
	return &nats.Msg{Subject: b.Names.Dead("search", deadLetter.Subject), Header: nats.Header(header), Data: e.Body}
}

func againOf(b *streamtest.Bench, e *bridge.Event, _ string) *nats.Msg {
	header := bridge.Again{Sequence: 1, Redrives: 1}.Header(e.Header())
	header[bridge.HeaderMsgID] = []string{bridge.AgainID("search", e.ID, "redrive-1-1")}
	return &nats.Msg{Subject: b.Names.Again("search", b.Names.SubjectOf(e)), Header: nats.Header(header), Data: e.Body}
}

func like(m *nats.Msg, change func(*nats.Msg)) *nats.Msg {
	out := &nats.Msg{Subject: m.Subject, Header: maps.Clone(m.Header), Data: append([]byte(nil), m.Data...)}
	change(out)
	return out
}

func onlyID(m *nats.Msg) {
	m.Header = nats.Header{bridge.HeaderMsgID: m.Header[bridge.HeaderMsgID]}
}

// A message that another program stores under the id of ours, before or instead of it, is
// recognised: ours is stored nevertheless, once, with an alarm.
func TestIDThatAnotherProgramUsed(t *testing.T) {
	t.Parallel()
	for kind, c := range map[string]struct {
		st, mine string
		make     func(*streamtest.Bench, *bridge.Event, string) *nats.Msg
		asApp    bool
	}{
		"dead letter": {"HOOKSPAN_DEAD", "hookspan.dead.mine.x", deadLetterOf, true},
		"copy":        {"HOOKSPAN_EVENTS", "hookspan.again.mine.x", againOf, false},
	} {
		b := streamtest.Start(t, streamtest.Listening())
		rival := b.JS
		if c.asApp {
			rival = b.App()
		}
		for name, change := range map[string]func(*nats.Msg){
			"elsewhere":        func(m *nats.Msg) { m.Subject = c.mine },
			"elsewhere, empty": func(m *nats.Msg) { onlyID(m); m.Subject, m.Data = c.mine, nil },
			"another body":     func(m *nats.Msg) { m.Data = []byte("{}") },
			"no header":        onlyID,
			"a header less":    func(m *nats.Msg) { delete(m.Header, "ce-source") },
			"another event":    func(m *nats.Msg) { m.Header["ce-id"] = []string{"pred_2/completed/0"} },
			"another query":    func(m *nats.Msg) { m.Header["hookspan-query-tenant"] = []string{"mine"} },
			"no letter any more": func(m *nats.Msg) {
				delete(m.Header, "hookspan-dead-cause")
				m.Header["hookspan-attempt"] = []string{"9"}
			},
		} {
			for how, store := range map[string]func(*stream.Publisher, *nats.Msg) (bridge.Receipt, error){
				"one": func(p *stream.Publisher, m *nats.Msg) (bridge.Receipt, error) {
					return p.Store(t.Context(), c.st, m)
				},
				"block": func(p *stream.Publisher, m *nats.Msg) (bridge.Receipt, error) {
					o := p.StoreAll(t.Context(), c.st, []*nats.Msg{m})[0]
					return o.Receipt, o.Err
				},
			} {
				t.Run(kind+"/"+name+"/"+how, func(t *testing.T) {
					heard := &natstest.Alarms{}
					p := b.Publisher()
					p.SetAlarms(heard)
					e := natstest.Event(kind + name + how)
					ack, err := rival.PublishMsg(t.Context(), like(c.make(b, e, ""), change))
					require.NoError(t, err)
					require.False(t, ack.Duplicate)
					before := b.Messages(t, c.st)

					got, err := store(p, c.make(b, e, "first"))
					require.NoError(t, err)
					require.Equal(t, bridge.Receipt{Result: bridge.Stored, Stream: c.st, Sequence: before + 1}, got)
					require.Equal(t, []string{bridge.AlarmIDTaken}, natstest.KindsOf(heard.All()))
					require.EqualValues(t, ack.Sequence, heard.All()[0].Details["sequence"])
					there := at(t, b, c.st, got.Sequence)
					require.Equal(t, c.make(b, e, "").Subject, there.Subject)
					require.Equal(t, e.Body, there.Data)
					require.True(t, streamread.SameHeader(bridge.Header(there.Header), bridge.Header(c.make(b, e, "").Header)))

					// A process that crashed after it repeats the call.
					again, err := store(p, c.make(b, e, "second"))
					require.NoError(t, err)
					require.Equal(t, bridge.Receipt{Result: bridge.Duplicate, Stream: c.st, Sequence: got.Sequence}, again)
					require.Equal(t, before+1, b.Messages(t, c.st))
				})
			}
		}
	}
}

func at(t *testing.T, b *streamtest.Bench, st string, seq uint64) *jetstream.RawStreamMsg {
	t.Helper()
	s, err := b.JS.Stream(t.Context(), st)
	require.NoError(t, err)
	m, err := s.GetMsg(t.Context(), seq)
	require.NoError(t, err)
	return m
}

// Even a rival that knows every predictable id prevents no message from being stored.
func TestIDsThatAreAllTaken(t *testing.T) {
	t.Parallel()
	b := streamtest.Start(t, streamtest.Listening())
	app := b.App()
	p := b.Publisher()
	e := natstest.Event("pred_1")
	m := deadLetterOf(b, e, "")
	_, err := app.Publish(t.Context(), "hookspan.dead.mine.x", nil, jetstream.WithMsgID(m.Header.Get(bridge.HeaderMsgID)))
	require.NoError(t, err)
	got, err := p.Store(t.Context(), "HOOKSPAN_DEAD", m)
	require.NoError(t, err)
	second := at(t, b, "HOOKSPAN_DEAD", got.Sequence).Header.Get(bridge.HeaderMsgID)

	b = streamtest.Start(t, streamtest.Listening())
	app, p = b.App(), b.Publisher()
	for _, id := range []string{m.Header.Get(bridge.HeaderMsgID), second} {
		_, err := app.Publish(t.Context(), "hookspan.dead.mine.x", nil, jetstream.WithMsgID(id))
		require.NoError(t, err)
	}
	got, err = p.Store(t.Context(), "HOOKSPAN_DEAD", deadLetterOf(b, e, ""))
	require.NoError(t, err)
	require.Equal(t, bridge.Receipt{Result: bridge.Stored, Stream: "HOOKSPAN_DEAD", Sequence: 3}, got)
	require.Equal(t, e.Body, at(t, b, "HOOKSPAN_DEAD", 3).Data)
}

// A removed message is stored again, as often as it is removed, without an alarm.
func TestDuplicateOfWhatWasRemoved(t *testing.T) {
	t.Parallel()
	for how, remove := range map[string]func(jetstream.Stream, uint64) error{
		"deleted": func(s jetstream.Stream, seq uint64) error { return s.DeleteMsg(t.Context(), seq) },
		"purged":  func(s jetstream.Stream, _ uint64) error { return s.Purge(t.Context()) },
	} {
		t.Run(how, func(t *testing.T) {
			b := streamtest.Start(t, streamtest.Listening())
			heard := &natstest.Alarms{}
			p := b.Publisher()
			p.SetAlarms(heard)
			q := quarantine.NewQuarantine(p, b.Names, heard)
			e := natstest.Event("pred_1")
			for st, store := range map[string]func() (bridge.Receipt, error){
				"HOOKSPAN_DEAD":       func() (bridge.Receipt, error) { return p.Store(t.Context(), "HOOKSPAN_DEAD", deadLetterOf(b, e, "")) },
				"HOOKSPAN_EVENTS":     func() (bridge.Receipt, error) { return p.Store(t.Context(), "HOOKSPAN_EVENTS", againOf(b, e, "")) },
				"HOOKSPAN_QUARANTINE": func() (bridge.Receipt, error) { return q.Keep(t.Context(), streamtest.Kept("{}")) },
			} {
				s, err := b.JS.Stream(t.Context(), st)
				require.NoError(t, err)
				for n := range 3 {
					got, err := store()
					require.NoError(t, err)
					require.EqualValues(t, n+1, got.Sequence, st)
					if n < 2 { // from the second on the id is random
						same, err := store()
						require.NoError(t, err)
						require.Equal(t, got.Sequence, same.Sequence, "a true repeat stays one")
					}
					require.EqualValues(t, 1, b.Messages(t, st))
					require.NoError(t, remove(s, got.Sequence))
				}
			}
			require.Empty(t, heard.Kinds())
		})
	}
}

// Repeated webhooks cost no look-up: a duplicate id of an event is trusted.
func TestDuplicateEventIsNotLookedUp(t *testing.T) {
	t.Parallel()
	b := streamtest.Start(t, streamtest.Listening())
	p := b.Publisher()
	e := natstest.Event("pred_1")
	first, err := p.Publish(t.Context(), e)
	require.NoError(t, err)
	looks := make(chan *nats.Msg, 10)
	for _, subject := range []string{"$JS.API.DIRECT.GET.>", "$JS.API.STREAM.MSG.GET.>"} {
		sub, err := b.NC.ChanSubscribe(subject, looks)
		require.NoError(t, err)
		defer func() { _ = sub.Unsubscribe() }()
	}
	require.NoError(t, b.NC.Flush())
	again, err := p.Publish(t.Context(), e)
	require.NoError(t, err)
	require.Equal(t, bridge.Receipt{Result: bridge.Duplicate, Stream: first.Stream, Sequence: first.Sequence}, again)
	require.NoError(t, b.NC.Flush())
	require.Empty(t, looks)
	_, err = p.Store(t.Context(), "HOOKSPAN_EVENTS", againOf(b, e, ""))
	require.NoError(t, err)
	_, err = p.Store(t.Context(), "HOOKSPAN_EVENTS", againOf(b, e, ""))
	require.NoError(t, err)
	require.Eventually(t, func() bool { return len(looks) > 0 }, patience, time.Millisecond, "that of a copy is not")
}

// The alarm of what lasts has one id in all processes, whatever each says of the cause, and none
// blames another for it.
func TestAlarmOfSeveralProcessesIsOne(t *testing.T) {
	t.Parallel()
	b := streamtest.Start(t, streamtest.Listening())
	heard := &natstest.Alarms{}
	p := b.Publisher()
	p.SetAlarms(heard)
	store := func(text string) bridge.Receipt {
		got, err := p.Store(t.Context(), b.Names.AlarmsStream(), &nats.Msg{
			Subject: b.Names.Alarm(bridge.AlarmJournalBehind), Data: []byte(text),
			Header: nats.Header{bridge.HeaderMsgID: {bridge.MsgID("alarm", bridge.AlarmJournalBehind, " lasts")}},
		})
		require.NoError(t, err)
		return got
	}
	first := store(`{"text":"1 record waits"}`)
	require.Equal(t, bridge.Stored, first.Result)
	require.Equal(t, bridge.Receipt{Result: bridge.Duplicate, Stream: first.Stream, Sequence: first.Sequence}, store(`{"text":"2 records wait"}`))
	require.Empty(t, heard.All())
}
