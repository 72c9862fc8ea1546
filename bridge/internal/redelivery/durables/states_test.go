package durables_test

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/redelivery/durables"
	"github.com/hookspan/hookspan/consumers"
	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/consumerstate"
)

// report writes a process's report on a consumer, as package consumers does.
func (r *rig) report(consumer, process string, report consumerstate.Report) {
	r.t.Helper()
	value, err := json.Marshal(report)
	require.NoError(r.t, err)
	m := &nats.Msg{Subject: r.Names.AttemptsSubject(r.Names.ReportKey(consumer, process)), Data: value}
	_, err = r.JS.PublishMsg(context.Background(), m, jetstream.WithMsgTTL(time.Minute))
	require.NoError(r.t, err)
}

func (r *rig) storeDead(consumer string, n int) {
	r.t.Helper()
	for range n {
		_, err := r.JS.Publish(context.Background(), r.Names.Dead(consumer, "x"), nil)
		require.NoError(r.t, err)
	}
}

// durable makes a durable, as a program in another language would.
func (r *rig) durable(name string, lease time.Duration) jetstream.Consumer {
	r.t.Helper()
	d, err := r.JS.CreateConsumer(context.Background(), "HOOKSPAN_EVENTS", jetstream.ConsumerConfig{
		Durable: name, AckPolicy: jetstream.AckExplicitPolicy, DeliverPolicy: jetstream.DeliverAllPolicy, AckWait: lease,
	})
	require.NoError(r.t, err)
	return d
}

// The state of a durable without reports follows from the server's numbers.
func TestStateByTheServersNumbers(t *testing.T) {
	t.Parallel()
	r := setup(t)
	ctx := context.Background()
	is := func(s consumerstate.State) func() bool {
		return func() bool { return r.state("team").State == s }
	}
	d := r.durable("team", time.Second)
	require.True(t, is(consumerstate.Current)())
	require.Equal(t, consumerstate.Missing, r.state("configured").State)
	r.publish(1, 2)
	require.True(t, is(consumerstate.Unread)(), "nobody has ever asked")

	m, err := d.Next(jetstream.FetchMaxWait(patience))
	require.NoError(t, err)
	busy := func() bool {
		require.NoError(t, m.InProgress())
		return is(consumerstate.Behind)()
	}
	r.eventually(busy)
	delivered := r.state("team").LastDelivered
	r.eventually(func() bool { // renews for longer than its lease
		return busy() && r.state("team").LastDelivered.Sub(delivered) > 1500*time.Millisecond
	})
	r.eventually(is(consumerstate.Unread)) // it was killed: no sign of life for a lease

	require.NoError(t, m.DoubleAck(ctx))
	for n := range 2 { // the second one is delivered twice
		m, err = d.Next(jetstream.FetchMaxWait(patience))
		require.NoError(t, err)
		if n == 0 {
			require.NoError(t, m.NakWithDelay(time.Second))
		}
	}
	require.NoError(t, m.NakWithDelay(time.Minute))
	asking, err := d.Messages()
	require.NoError(t, err)
	defer asking.Stop()
	r.eventually(is(consumerstate.Waiting))
	require.NoError(t, r.durables.Pause(ctx, "team", time.Now().Add(time.Hour)))
	require.True(t, is(consumerstate.Paused)())
}

// Reports are part of the state until they expire.
func TestStateByReports(t *testing.T) {
	t.Parallel()
	r := setup(t)
	stop := r.run(consumers.Config{Name: "team"})
	stop()
	r.publish(1, 1)
	since := time.Now().Add(-time.Hour).UTC()
	r.report("team", "a", consumerstate.Report{State: consumerstate.Failing, Since: since, Reason: "no\x1b[2J", Failures: 7})
	r.report("other", "a", consumerstate.Report{State: consumerstate.Blocked, Since: since})
	s := r.state("team")
	require.Equal(t, consumerstate.Failing, s.State)
	require.True(t, since.Equal(s.Since))
	require.Equal(t, `no\u001b[2J`, s.Reason)
	require.Equal(t, 7, s.Failures)
	text, err := json.Marshal(s)
	require.NoError(t, err)
	require.Contains(t, string(text), `"state":"failing"`)
	r.report("team", "b", consumerstate.Report{State: consumerstate.Well})
	require.NotEqual(t, consumerstate.Failing, r.state("team").State)

	require.NoError(t, r.JS.DeleteStream(context.Background(), "KV_HOOKSPAN_ATTEMPTS"))
	require.NotEmpty(t, r.state("team").State, "without a bucket of reports nobody reports")
}

type clock struct{ time.Time }

func (c *clock) now() time.Time          { return c.Time }
func (c *clock) forward(d time.Duration) { c.Time = c.Add(d) }

type kept struct{ text []byte }

func (k *kept) Load() ([]byte, error) { return k.text, nil }

func (k *kept) Save(text []byte) error {
	k.text = text
	return nil
}

// told returns how many dead letters of a consumer are recorded as reported.
func told(t *testing.T, memory *kept, consumer string) uint64 {
	t.Helper()
	record, err := durables.ReadRecord(memory)
	require.NoError(t, err)
	return record.DeadLettersTold(consumer)
}

// watch returns a watch as of a new process.
func (r *rig) watch(memory durables.Memory, at *clock) (*durables.Watch, func() []bridge.Alarm) {
	r.t.Helper()
	alarms := make(heard, 100)
	record, err := durables.OpenRecord(memory, durables.Place{Store: durables.Embedded, Prefix: "hookspan"})
	require.NoError(r.t, err)
	w := durables.NewWatch(r.durables, durables.WatchConfig{Alarms: alarms, Record: record})
	w.SetClock(at.now)
	return w, func() (out []bridge.Alarm) {
		r.t.Helper()
		require.NoError(r.t, w.Look(context.Background()))
		for len(alarms) > 0 {
			out = append(out, <-alarms)
		}
		return out
	}
}

// The first dead letter is an alarm, and every further ten, also for a new process; after a
// redrive of all, the next one counts as first.
func TestDeadLettersAreAlarms(t *testing.T) {
	t.Parallel()
	r := setup(t)
	ctx := context.Background()
	r.durable("team", time.Minute)
	at, memory := &clock{time.Now()}, &kept{}
	_, look := r.watch(memory, at)
	deadLetters := func(alarms []bridge.Alarm) (out []string) {
		for _, a := range alarms {
			require.Equal(t, bridge.AlarmDeadLetters, a.Kind)
			require.Equal(t, "team", a.Subject)
			require.Contains(t, a.Text, "hookspan dead list --consumer team")
			require.Contains(t, a.Text, "hookspan dead redrive --consumer team")
			require.Contains(t, a.Text, "dead letters now: "+strconv.FormatUint(a.Details["letters"].(uint64), 10)+";")
			out = append(out, strconv.FormatUint(a.Details["letters"].(uint64), 10))
		}
		return out
	}
	require.Empty(t, look())
	r.storeDead("team", 1)
	require.Equal(t, []string{"1"}, deadLetters(look()))
	require.Empty(t, look())
	r.storeDead("team", 9)
	at.forward(time.Hour)
	require.Empty(t, look(), "nine more")
	r.storeDead("team", 1)
	require.Equal(t, []string{"11"}, deadLetters(look()))

	// One an hour: the next one waits and reports all.
	r.storeDead("team", 30)
	at.forward(59 * time.Minute)
	require.Empty(t, look())
	at.forward(time.Minute)
	require.Equal(t, []string{"41"}, deadLetters(look()))

	_, look = r.watch(memory, at)
	require.Empty(t, look(), "another process knows what was told")
	_, fresh := r.watch(nil, at)
	require.Equal(t, []string{"41"}, deadLetters(fresh()), "one without memory tells again")

	stream, err := r.JS.Stream(ctx, "HOOKSPAN_DEAD")
	require.NoError(t, err)
	require.NoError(t, stream.Purge(ctx))
	over := look()
	require.Len(t, over, 1)
	require.True(t, over[0].Cleared)
	require.Equal(t, bridge.AlarmDeadLetters, over[0].Kind)
	require.Empty(t, look())
	require.Zero(t, told(t, memory, "team"))
	r.storeDead("team", 1)
	require.Equal(t, []string{"1"}, deadLetters(look()), "a first one again")
}

// A consumer that fails for five minutes is an alarm. One whose handler is blocked is not: the
// cause of that raises its own.
func TestFailingConsumerIsAnAlarm(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.durable("team", time.Minute)
	r.durable("blocked", time.Minute)
	r.publish(1, 1)
	at := &clock{time.Now()}
	w, look := r.watch(nil, at)
	r.report("team", "a", consumerstate.Report{State: consumerstate.Failing, Since: at.Time, Reason: "connection\nrefused", Failures: 9})
	r.report("blocked", "a", consumerstate.Report{State: consumerstate.Blocked, Since: at.Time, Reason: "away"})
	require.Empty(t, look())
	at.forward(5*time.Minute - time.Second)
	require.Empty(t, look())
	at.forward(time.Second)
	alarms := look()
	require.Len(t, alarms, 1)
	require.Equal(t, bridge.AlarmConsumerFailing, alarms[0].Kind)
	require.Equal(t, "team", alarms[0].Subject)
	require.Contains(t, alarms[0].Text, `9 attempts in a row`)
	require.Contains(t, alarms[0].Text, `connection\nrefused`)
	collectors := w.Collectors()
	require.NoError(t, testutil.CollectAndCompare(collectors[len(collectors)-1], strings.NewReader(`# HELP hookspan_consumer_state 1 for the state that the consumer is in.
# TYPE hookspan_consumer_state gauge
hookspan_consumer_state{consumer="blocked",state="blocked"} 1
hookspan_consumer_state{consumer="configured",state="missing"} 1
hookspan_consumer_state{consumer="team",state="failing"} 1
`)))

	require.Len(t, look(), 1, "it lasts")
	r.report("team", "a", consumerstate.Report{State: consumerstate.Well})
	over := look()
	require.Len(t, over, 1)
	require.True(t, over[0].Cleared)
	require.Equal(t, "team", over[0].Subject)
}

// oldest returns the metric of a consumer, -1 when it has none.
func oldest(t *testing.T, w *durables.Watch, consumer string) float64 {
	t.Helper()
	reg := prometheus.NewRegistry()
	reg.MustRegister(w.Collectors()...)
	families, err := reg.Gather()
	require.NoError(t, err)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == "hookspan_consumer_oldest_waiting_seconds" && m.GetLabel()[0].GetValue() == consumer {
				return m.GetGauge().GetValue()
			}
		}
	}
	return -1
}

// The oldest event that waits is that which the consumer has not settled.
func TestOldestWaiting(t *testing.T) {
	t.Parallel()
	r := setup(t)
	d := r.durable("team", time.Minute)
	w, look := r.watch(nil, &clock{time.Now()})
	age := func() float64 { look(); return oldest(t, w, "team") }
	require.Zero(t, age())
	r.publish(1, 2)
	first := age()
	require.Greater(t, first, 0.0)
	for range 2 {
		m, err := d.Next(jetstream.FetchMaxWait(patience))
		require.NoError(t, err)
		require.Greater(t, age(), first, "it is with a worker")
		require.NoError(t, m.DoubleAck(t.Context()))
		first = 0
	}
	r.eventually(func() bool { return age() == 0 })
}

// What is not known is no zero, and is asked for again.
func TestOldestWaitingIsNotKnown(t *testing.T) {
	t.Parallel()
	r := setup(t)
	w, _ := r.watch(nil, &clock{time.Now()})
	waits := []adminapi.ConsumerState{{Name: "team", Pending: 1}}
	w.MeasureOldest(t.Context(), waits)
	require.Negative(t, oldest(t, w, "team"))
	r.publish(1, 1)
	w.MeasureOldest(t.Context(), waits)
	require.Greater(t, oldest(t, w, "team"), 0.0)
}

// Events that wait unread for five minutes are an alarm.
func TestUnreadConsumerIsAnAlarm(t *testing.T) {
	t.Parallel()
	r := setup(t)
	ctx := context.Background()
	d := r.durable("team", time.Second)
	at := &clock{time.Now()}
	_, look := r.watch(nil, at)
	r.publish(1, 2)
	require.Empty(t, look())
	at.forward(4 * time.Minute)
	m, err := d.Next(jetstream.FetchMaxWait(patience))
	require.NoError(t, err)
	require.Empty(t, look())
	require.NoError(t, m.Ack())
	r.eventually(func() bool { return r.state("team").State == consumerstate.Unread })
	at.forward(2 * time.Minute)
	require.Empty(t, look(), "it counts anew")
	at.forward(5 * time.Minute)
	alarms := look()
	require.Len(t, alarms, 1)
	require.Equal(t, bridge.AlarmConsumerUnread, alarms[0].Kind)
	require.Contains(t, alarms[0].Text, "1 wait")
	require.NoError(t, r.durables.Pause(ctx, "team", time.Time{}))
	over := look()
	require.Len(t, over, 1)
	require.True(t, over[0].Cleared, "somebody wants it so")
}
