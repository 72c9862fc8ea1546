package view

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/natstest"
)

// Messages that no bridge publishes, and events of the largest size, hold nothing up.
func TestStrangeMessagesHoldNothingUp(t *testing.T) {
	t.Parallel()
	x := natstest.NewExternal(t, func(o *server.Options) { o.MaxPayload = 8 << 20 })
	x.Start()
	r := &rig{Streams: x.MakeStreams(), t: t, dir: t.TempDir()}
	v := r.start("view.db")
	raw := func(subject string, header bridge.Header, body []byte) {
		_, err := r.JS.PublishMsg(t.Context(), &nats.Msg{Subject: subject, Header: nats.Header(header), Data: body})
		require.NoError(t, err)
	}
	forge := func(change func(h bridge.Header)) {
		e := says(t, "forged", finished)
		h := e.Header()
		change(h)
		raw(r.Names.SubjectOf(e), h, e.Body)
	}
	strange := []string{
		r.Names.Event("get3w", "completed", "a/b"), r.Names.Again(bridge.PredictionsConsumer, r.Names.Event("get3w", "completed", "a/b")),
		r.Names.Dead("billing", r.Names.Event("get3w", "completed", "a")), r.Names.Quarantine("get3w", "x"), r.Names.Refused("get3w", "x"), r.Names.Alarm("x"),
	}
	for _, subject := range strange {
		raw(subject, nil, nil)
		raw(subject, bridge.Header{"ce-id": {"%zz"}}, []byte("{"))
		raw(subject, nil, []byte(strings.Repeat("x", 900<<10)))
	}
	long := strings.Repeat("x", 20_000)
	for _, key := range []string{"ce-id", "ce-status", "ce-subject", "ce-model", "ce-origin"} {
		forge(func(h bridge.Header) { h[key] = []string{long} })
	}
	forge(func(h bridge.Header) { h["ce-source"] = []string{"/sources/NOT A NAME"} })
	forge(func(h bridge.Header) { h["ce-receivedat"] = []string{"9999-12-31T23:59:59-14:00"} })
	e := says(t, "odd", `"status":"completed","created_at":"0000-01-01T00:00:00+14:00","completed_at":"9999-12-31T23:59:59-12:00"`)
	r.publish(e)
	watch, err := json.Marshal(bridge.Watch{Reference: strings.Repeat("<", 500_000), Deadline: time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)})
	require.NoError(t, err)
	w := watched(t, "watched", bridge.Watch{})
	raw(r.Names.SubjectOf(w), w.Header(), watch)
	r.again(bridge.PredictionsConsumer, says(t, "copied", finished), bridge.Again{Sequence: 1 << 62})
	large := says(t, "large", `"status":"completed","outputs":["`+strings.Repeat("x", 1000<<10)+`"]`)
	largest := says(t, "largest", `"status":"completed","outputs":["`+strings.Repeat("x", blockBytes)+`"]`)
	r.publish(large, largest, largest)
	for range 6 { // more than a block has
		large.ID += "x"
		r.publish(large)
	}
	r.publish(says(t, "b", finished))
	v.folded()
	require.True(t, v.state("b").Terminal())
	require.True(t, v.state("large").Terminal())
	require.True(t, v.state("largest").Terminal())
	require.True(t, v.state("odd").Terminal())
	require.True(t, v.state("copied").Terminal())
	require.True(t, v.state("watched").Open())
	require.Equal(t, []string{"b", "largest", "large", "copied", "watched", "odd"}, v.all(Query{}))
	require.Empty(t, v.Status().Error)
	require.NotEmpty(t, v.logs.FilterMessageSnippet("left out of the view").All())
}

// lastOf returns the last sequence of a stream.
func (r *rig) lastOf(name string) uint64 {
	r.t.Helper()
	s, err := r.JS.Stream(context.Background(), name)
	require.NoError(r.t, err)
	return s.CachedInfo().State.LastSeq
}

// Messages that nats.go takes for words of the server stand at the head, in a long row and at the
// end of each stream. The view passes them, misses nothing, and says so in a few lines.
func TestStatusHeadersHoldNothingUp(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	of := map[string]string{
		r.Names.EventsStream(): r.Names.Event("get3w", "completed", "a/b"), r.Names.DeadStream(): r.Names.Dead("billing", r.Names.Event("get3w", "completed", "a")),
		r.Names.QuarantineStream(): r.Names.Quarantine("get3w", "x"), r.Names.RefusedStream(): r.Names.Refused("get3w", "x"), r.Names.AlarmsStream(): r.Names.Alarm("x"),
	}
	store := func() {
		for stream, subject := range of {
			r.StoreStatuses(t, stream, subject)
		}
	}
	store()
	v := r.start("view.db")
	v.folded()
	r.publish(says(t, "a", finished))
	headers := natstest.StatusHeaders()
	for i := range 2 * blockMessages {
		_, err := r.JS.PublishMsgAsync(&nats.Msg{Subject: of[r.Names.EventsStream()], Header: headers[i%len(headers)]})
		require.NoError(t, err)
	}
	<-r.JS.PublishAsyncComplete()
	r.publish(says(t, "b", finished))
	store()
	v.folded()
	for _, s := range v.streams {
		if of[s.name] != "" {
			require.Equal(t, r.lastOf(s.name), s.at().seq, s.name)
		}
	}
	require.Equal(t, []string{"b", "a"}, v.all(Query{}))
	r.eventually(v.UpToDate)
	require.Empty(t, v.Status().Error)
	// Whatever held the view up would be tried again all the time; a busy machine may have it try once.
	require.LessOrEqual(t, v.logs.FilterMessageSnippet("trying again").Len(), 2)
	told := v.logs.FilterMessageSnippet("left out of the view").FilterField(zap.String("stream", r.Names.EventsStream())).All()
	require.NotEmpty(t, told)
	require.Less(t, len(told), len(headers)*3)
	require.EqualValues(t, 1, told[0].ContextMap()["first"])
}

// While NATS is away the view serves what it has and says that it is not up to date; then it
// goes on where it was.
func TestNATSAway(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	x := r.start("view.db")
	r.publish(says(t, "a", finished))
	x.folded()
	r.eventually(x.UpToDate)
	r.Stop()
	r.eventually(func() bool { return !x.UpToDate() })
	require.True(t, x.state("a").Terminal())
	r.Start()
	r.eventually(func() bool { _, err := r.Publish(t.Context(), says(t, "b", finished)); return err == nil })
	r.eventually(func() bool { _, err := x.Prediction(t.Context(), "get3w", "b"); return err == nil })
	r.eventually(x.UpToDate)
	r.eventually(func() bool { // each reader comes back by itself
		for _, s := range x.Status().Streams {
			if s.Error != "" {
				return false
			}
		}
		return true
	})
}

// A stream that is not there stops no other.
func TestStreamThatIsNotThere(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	require.NoError(t, r.JS.DeleteStream(t.Context(), r.Names.AlarmsStream()))
	x := r.start("view.db")
	r.publish(says(t, "a", finished))
	x.change(Ended)
	r.eventually(func() bool { return x.Status().Streams[r.Names.AlarmsStream()].Error != "" })
	require.Empty(t, x.Status().Streams[r.Names.EventsStream()].Error)
}

// A busy process folds for a tenth of the time.
func TestYields(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	busy := false
	x := &View{cfg: Config{Path: r.dir + "/view.db", JS: r.JS, Busy: func() bool { return busy }}}
	require.Zero(t, x.yield(time.Now().Add(-time.Second)))
	busy = true
	require.GreaterOrEqual(t, x.yield(time.Now().Add(-100*time.Millisecond)), 900*time.Millisecond)
	require.Equal(t, maxYield, x.yield(time.Now().Add(-time.Hour)))
}

// A process that is busy for ever folds all the same.
func TestFoldsWhileAlwaysBusy(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	x := r.start("view.db", func(c *Config) { c.Busy = func() bool { return true } })
	for i := range 5 {
		r.publish(says(t, "a", fmt.Sprint(running, `,"n":`, i)))
		x.folded()
	}
	require.Len(t, x.state("a").Events, 5)
}

// A reader that fails ends only after its last block is folded: the next one begins at the
// position, and would read what is still being folded a second time.
func TestReaderWaitsForItsBlock(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	v := filled(t, r.dir+"/view.db", 0, 1)
	defer func() { require.NoError(t, v.drop()) }()
	v.cfg.JS = r.JS
	s := v.events()
	s.position = position{} // it was never read
	v.cfg.Restore = func(context.Context, func(*bridge.PredictionState) error) error { return nil }
	r.publish(says(t, "a", finished))
	left, err := r.NC.SubscribeSync("$JS.API.CONSUMER.DELETE." + s.name + ".>")
	require.NoError(t, err)
	blocks, ended := make(chan block), make(chan uint64, 1)
	go func() {
		_ = s.readFrom(t.Context(), blocks)
		ended <- s.at().seq
	}()
	b := <-blocks
	s.mu.Lock()
	reader := s.reader
	s.mu.Unlock()
	info, err := reader.Info(t.Context())
	require.NoError(t, err)
	require.NoError(t, r.JS.DeleteConsumer(t.Context(), s.name, info.Name))
	for range 2 { // this test's, and that of the reader that fails
		_, err := left.NextMsgWithContext(t.Context())
		require.NoError(t, err)
	}
	_, err = r.JS.AccountInfo(t.Context())
	require.NoError(t, err)
	require.NoError(t, s.foldBlock(b))
	close(b.folded)
	require.EqualValues(t, 1, <-ended)
}

// Who cannot hear of attempts folds what the streams have.
func TestDoesNotHearOfAttempts(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	core, logs := observer.New(zap.InfoLevel)
	nc, err := nats.Connect(r.NC.ConnectedUrl())
	require.NoError(t, err)
	js, err := jetstream.New(nc)
	require.NoError(t, err)
	nc.Close()
	v := &View{cfg: Config{JS: js, Names: r.Names}, log: zap.New(core)}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { v.hear(ctx, nil); close(done) }()
	r.eventually(func() bool { return logs.FilterMessageSnippet("does not hear").Len() > 0 })
	cancel()
	<-done
}

// A forged status between told attempts does not end the hearing.
func TestHearsBehindStatusHeaders(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	core, logs := observer.New(zap.InfoLevel)
	v := &View{cfg: Config{JS: r.JS, Names: r.Names}, log: zap.New(core)}
	ctx, cancel := context.WithCancel(t.Context())
	done, heard := make(chan struct{}), make(chan []told)
	go func() { v.hear(ctx, heard); close(done) }()
	subject := r.Names.AttemptsTold("billing")
	r.eventually(func() bool { // once it listens
		require.NoError(t, r.NC.PublishMsg(&nats.Msg{Subject: subject, Header: nats.Header{"Status": {"503"}}}))
		require.NoError(t, r.NC.Publish(subject, []byte("strange")))
		select {
		case <-heard:
		default:
		}
		return v.attempts.unknown.Load() > 0
	})
	require.Zero(t, logs.FilterMessageSnippet("does not hear").Len())
	cancel()
	<-done
}

// What changes was told before is not live.
func TestChanges(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.publish(says(t, "old", finished))
	x := r.start("view.db")
	require.False(t, x.change(Ended).Live)
	r.publish(says(t, "a", running))
	require.Equal(t, "a", x.change(Opened).State.ID)
	lost, err := (&bridge.Lost{Source: "get3w", Prediction: "a", Cause: bridge.DeadNotFound, LostAt: time.Now()}).Event()
	require.NoError(t, err)
	r.publish(lost)
	require.NotNil(t, x.change(GivenUp).State.Lost)
	r.again(bridge.PredictionsConsumer, watched(t, "a", bridge.Watch{}), bridge.Again{Sequence: 2, Redrives: 1})
	require.True(t, x.change(Reopened).State.Open())
	r.publish(says(t, "a", finished))
	require.True(t, x.change(Ended).Live)
	r.publish(says(t, "a", `"status":"failed","error":"no"`))
	require.True(t, x.change(Conflicted).State.Conflict)
}

// A view leaves nothing on the server, which by itself would remove a reader after minutes.
func TestReadersAreRemoved(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for range 3 {
		x := r.start("view.db")
		x.folded()
		x.stop()
	}
	for _, name := range []string{r.Names.EventsStream(), r.Names.DeadStream()} {
		require.Eventually(t, func() bool { // the server may still be removing one
			stream, err := r.JS.Stream(t.Context(), name)
			require.NoError(t, err)
			return stream.CachedInfo().State.Consumers == 0
		}, patience, 10*time.Millisecond)
	}
}
