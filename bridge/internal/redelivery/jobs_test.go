package redelivery_test

import (
	"context"
	"encoding/json"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/jobs"
	"github.com/hookspan/hookspan/bridge/internal/redelivery"
	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/natstest"
	"github.com/hookspan/hookspan/internal/streams"
)

// work runs the jobs of a redeliverer until the test ends.
func (r *rig) work(store redelivery.BlockStorer) *jobs.Jobs {
	r.t.Helper()
	j := jobs.New(r.JS, r.Publisher(), jobs.Config{
		Names: r.Names, Kinds: r.redeliverer(store).Kinds(), Process: "one", Place: "one", Tell: func(context.Context, adminapi.Job) {},
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- j.Run(ctx) }()
	r.t.Cleanup(func() { cancel(); require.NoError(r.t, <-done) })
	return j
}

func (r *rig) begin(j *jobs.Jobs, kind, call string) string {
	r.t.Helper()
	job, err := j.Start(r.t.Context(), adminapi.JobOrder{JobCall: adminapi.JobCall{Kind: kind}, Body: json.RawMessage(call), Rate: adminapi.MaxJobRate})
	require.NoError(r.t, err)
	return job.ID
}

func (r *rig) untilJob(j *jobs.Jobs, id string, holds func(adminapi.Job) bool) (job adminapi.Job) {
	r.t.Helper()
	r.eventually(func() bool {
		var err error
		job, err = j.Get(r.t.Context(), id)
		return err == nil && holds(job)
	})
	return job
}

func hasEnded(job adminapi.Job) bool { return job.State.Ended() }

// dead stores dead letters of durable team, which reads what is given again, and of one that is
// not there.
func (r *rig) dead(n, others int) {
	r.t.Helper()
	_, err := r.JS.CreateConsumer(r.t.Context(), "HOOKSPAN_EVENTS", jetstream.ConsumerConfig{
		Durable: "team", AckPolicy: jetstream.AckExplicitPolicy, FilterSubjects: []string{"hookspan.events.>", r.Names.AllAgain("team")},
	})
	require.NoError(r.t, err)
	for i := range n + others {
		ev := natstest.Event("pred_" + strconv.Itoa(i))
		letter := bridge.DeadLetter{Consumer: "team", Cause: bridge.DeadPermanent, Subject: r.Names.SubjectOf(ev)}
		if i >= n {
			letter.Consumer = "nobody"
		}
		_, err := r.JS.PublishMsgAsync(&nats.Msg{Subject: r.Names.Dead(letter.Consumer, letter.Subject), Header: nats.Header(letter.Header(ev.Header())), Data: ev.Body})
		require.NoError(r.t, err)
	}
	select {
	case <-r.JS.PublishAsyncComplete():
	case <-time.After(patience):
		r.t.Fatal("the dead letters were not stored")
	}
}

// awkward fails some blocks, before they are stored or after, and refuses some copies for good.
type awkward struct {
	redelivery.BlockStorer

	n     atomic.Int64
	large string // of this prediction
}

func (s *awkward) StoreAll(ctx context.Context, stream string, msgs []*nats.Msg) []streams.Outcome {
	fails := make([]streams.Outcome, len(msgs))
	for i, m := range msgs {
		fails[i].Err = bridge.ErrUnavailable
		if bridge.Header(m.Header).Get("ce-subject") == s.large {
			outcomes := s.BlockStorer.StoreAll(ctx, stream, msgs[:i])
			return append(append(outcomes, streams.Outcome{Err: bridge.ErrTooLarge}), fails[:len(msgs)-i-1]...)
		}
	}
	switch s.n.Add(1) % 3 {
	case 0: // it is full
		return fails
	case 1: // the answers are lost
		s.BlockStorer.StoreAll(ctx, stream, msgs)
		return fails
	}
	return s.BlockStorer.StoreAll(ctx, stream, msgs)
}

// A redrive of many over a store that fails now and then adds up, and gives each event once.
func TestRedriveJobAddsUp(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.dead(900, 50)
	j := r.work(&awkward{BlockStorer: r.Publisher(), large: "pred_300"})
	plan, err := j.Plan(t.Context(), adminapi.JobOrder{JobCall: adminapi.JobCall{Kind: adminapi.JobRedrive}, Body: json.RawMessage(`{}`), Rate: 100})
	require.NoError(t, err)
	require.Equal(t, 950, plan.Total)
	require.Equal(t, 900, plan.Count)
	require.Equal(t, map[string]int{"no_consumer": 50}, plan.LeftOut)
	require.False(t, plan.Oldest.IsZero())
	require.Equal(t, &adminapi.OutputsPlan{Predictions: 900}, plan.Outputs, "only of what would be given")

	job := r.untilJob(j, r.begin(j, adminapi.JobRedrive, `{}`), hasEnded)
	require.Equal(t, adminapi.JobDone, job.State)
	require.Equal(t, map[string]int{"given": 899, "too_large": 1, "no_consumer": 50}, job.Outcomes)
	require.Zero(t, job.Left)
	require.NotEmpty(t, job.Errors)
	require.EqualValues(t, 51, r.deadLetters())
	require.EqualValues(t, 899, r.Messages(t, "HOOKSPAN_EVENTS"))

	job = r.untilJob(j, r.begin(j, adminapi.JobDropDead, `{"consumer":"nobody"}`), hasEnded)
	require.Equal(t, map[string]int{"dropped": 50}, job.Outcomes)
	require.EqualValues(t, 1, r.deadLetters())
}

// A dry run looks at the outputs of each prediction once, also when several events of it would be
// given, and answers without them when the view does not.
func TestAPlanTellsOfOutputs(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.dead(2, 0)
	r.publish("pred_0", "pred_1", "pred_2")
	other := natstest.Event("pred_0")
	other.ID += "again"
	_, err := r.Publisher().Publish(t.Context(), other)
	require.NoError(t, err)
	j := r.work(r.Publisher())
	plan := func(kind, call string) adminapi.JobPlan {
		plan, err := j.Plan(t.Context(), adminapi.JobOrder{JobCall: adminapi.JobCall{Kind: kind}, Body: json.RawMessage(call), Rate: 100})
		require.NoError(t, err)
		return plan
	}
	require.Equal(t, &adminapi.OutputsPlan{Predictions: 3}, plan(adminapi.JobReplay, `{"consumer":"team"}`).Outputs)
	require.Nil(t, plan(adminapi.JobDropDead, `{}`).Outputs)
	r.publish("pred_no_view")
	p := plan(adminapi.JobReplay, `{"consumer":"team"}`)
	require.Nil(t, p.Outputs)
	require.Equal(t, 5, p.Count)
}

// gated stores a block for each value of its gate.
type gated struct {
	redelivery.BlockStorer

	gate chan struct{}
}

func (s gated) StoreAll(ctx context.Context, stream string, msgs []*nats.Msg) []streams.Outcome {
	<-s.gate
	return s.BlockStorer.StoreAll(ctx, stream, msgs)
}

// A job whose consumer is removed half way says so, and leaves the rest as it was; also a job
// whose consumer is gone before it begins.
func TestJobOfARemovedConsumer(t *testing.T) {
	t.Parallel()
	for kind, call := range map[string]string{adminapi.JobRedrive: `{"consumer":"team"}`, adminapi.JobReplay: `{"consumer":"team"}`} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			r := setup(t)
			r.dead(600, 0)
			var ids []string
			for i := range 600 {
				ids = append(ids, strconv.Itoa(i))
			}
			if kind == adminapi.JobReplay {
				r.publish(ids...)
			}
			before := r.Messages(t, "HOOKSPAN_EVENTS")
			store := gated{r.Publisher(), make(chan struct{})}
			j := r.work(store)
			id := r.begin(j, kind, call)
			store.gate <- struct{}{}
			given := r.untilJob(j, id, func(job adminapi.Job) bool { return job.Outcomes["given"] > 0 }).Outcomes["given"]
			require.NoError(t, r.JS.DeleteConsumer(t.Context(), "HOOKSPAN_EVENTS", "team"))
			close(store.gate)
			job := r.untilJob(j, id, hasEnded)
			require.Equal(t, adminapi.JobFailed, job.State)
			require.Equal(t, "team: "+adminapi.ErrNoConsumer.Error(), job.Error)
			require.GreaterOrEqual(t, job.Outcomes["given"], given)
			require.Equal(t, 600, job.Outcomes["given"]+job.Left)
			require.EqualValues(t, job.Outcomes["given"], r.Messages(t, "HOOKSPAN_EVENTS")-before)
			if kind == adminapi.JobRedrive {
				require.EqualValues(t, job.Left, r.deadLetters())
			}
			job = r.untilJob(j, r.begin(j, adminapi.JobReplay, call), hasEnded)
			require.Equal(t, adminapi.JobFailed, job.State)
		})
	}
}

// What somebody else has removed meanwhile is gone, and what comes meanwhile is none of the job.
func TestRedriveJobBesideOthers(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.dead(600, 0)
	store := gated{r.Publisher(), make(chan struct{})}
	j := r.work(store)
	id := r.begin(j, adminapi.JobRedrive, `{"consumer":"team"}`)
	r.untilJob(j, id, func(job adminapi.Job) bool { return job.Total == 600 }) // its first block waits before the gate
	require.Equal(t, 1, r.re.Drop(t.Context(), adminapi.DeadSelection{Sequences: []uint64{600}}, false).Dropped)
	ev := natstest.Event("late")
	letter := bridge.DeadLetter{Consumer: "team", Cause: bridge.DeadPermanent, Subject: r.Names.SubjectOf(ev)}
	_, err := r.JS.PublishMsg(t.Context(), &nats.Msg{Subject: r.Names.Dead("team", letter.Subject), Header: nats.Header(letter.Header(ev.Header())), Data: ev.Body})
	require.NoError(t, err)
	close(store.gate)
	job := r.untilJob(j, id, hasEnded)
	require.Equal(t, adminapi.JobDone, job.State)
	require.Equal(t, map[string]int{"given": 599, "gone": 1}, job.Outcomes)
	require.EqualValues(t, 1, r.deadLetters())
}

// A redrive or a drop of one consumer leaves the dead letters of others where they are, also those
// that lie between; so does one that selects only some.
func TestJobsLeaveOtherDeadLetters(t *testing.T) {
	t.Parallel()
	r := setup(t)
	const n = 60
	for range n {
		r.dead(1, 1)
	}
	j := r.work(r.Publisher())
	job := r.untilJob(j, r.begin(j, adminapi.JobRedrive, `{"cause":"permanent","consumer":"team","prediction":"other"}`), hasEnded)
	require.Zero(t, job.Total)
	require.EqualValues(t, 2*n, r.deadLetters())
	job = r.untilJob(j, r.begin(j, adminapi.JobRedrive, `{"consumer":"team"}`), hasEnded)
	require.Equal(t, map[string]int{"given": n}, job.Outcomes)
	require.EqualValues(t, n, r.deadLetters())
	job = r.untilJob(j, r.begin(j, adminapi.JobDropDead, `{"consumer":"nobody","after":2}`), hasEnded)
	require.Equal(t, map[string]int{"dropped": n - 1}, job.Outcomes)
	require.EqualValues(t, 1, r.deadLetters())
	for group, dropped := range map[string]int{"team permanent ": 0, "nobody permanent no": 0, "nobody permanent ": 1} {
		job = r.untilJob(j, r.begin(j, adminapi.JobDropDead, `{"group":"`+group+`"}`), hasEnded)
		require.Equal(t, dropped, job.Outcomes["dropped"], group)
	}
	require.EqualValues(t, 0, r.deadLetters())
}

// A replay job gives its events once, however often its blocks are tried.
func TestReplayJob(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.dead(0, 0)
	r.publish("a", "b", "c")
	j := r.work(half{r.Publisher()})
	id := r.begin(j, adminapi.JobReplay, `{"consumer":"team","prediction":"b"}`)
	r.untilJob(j, id, func(job adminapi.Job) bool { return job.Waiting != "" && len(job.Errors) > 1 })
	job, err := j.Cancel(t.Context(), id)
	require.NoError(t, err)
	require.True(t, job.Cancelling || job.State.Ended())
	job = r.untilJob(j, id, hasEnded)
	require.Equal(t, 1, job.Left)
	require.EqualValues(t, 4, r.Messages(t, "HOOKSPAN_EVENTS"))

	_, err = j.Plan(t.Context(), adminapi.JobOrder{JobCall: adminapi.JobCall{Kind: adminapi.JobReplay}, Body: json.RawMessage(`{"consumer":"nobody"}`), Rate: 1})
	require.ErrorIs(t, err, adminapi.ErrNoConsumer)
}
