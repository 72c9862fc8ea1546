package durables_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/redelivery/durables"
	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/consumerstate"
)

func at(store, prefix string) durables.Place { return durables.Place{Store: store, Prefix: prefix} }

func open(t *testing.T, memory *kept, place durables.Place) *durables.Record {
	t.Helper()
	record, err := durables.OpenRecord(memory, place)
	require.NoError(t, err)
	return record
}

func served(filter bridge.Filter) map[string]durables.Served {
	return map[string]durables.Served{"team": {Kind: "pull", Filter: filter}}
}

// The position of a missing durable stays known until it is made again, also after further
// looks; and a look that began before an operator moved the durable does not undo the move.
func TestPlaceOfAMissingDurableStaysKnown(t *testing.T) {
	t.Parallel()
	memory := &kept{}
	record := open(t, memory, at(durables.Embedded, "hookspan"))
	began := time.Now()
	require.NoError(t, record.Saw([]adminapi.ConsumerState{{Name: "team", Acknowledged: 41, Pending: 7}}, began))
	require.NoError(t, record.Saw([]adminapi.ConsumerState{{Name: "team", Missing: true}, {Name: "never", Missing: true}}, time.Now()))
	next, ok := open(t, memory, at(durables.Embedded, "hookspan")).Next("team")
	require.True(t, ok)
	require.EqualValues(t, 42, next)
	_, ok = record.Next("never")
	require.False(t, ok)

	require.NoError(t, record.Move("team", 3))
	require.NoError(t, record.Saw([]adminapi.ConsumerState{{Name: "team", Acknowledged: 41}}, began))
	next, _ = record.Next("team")
	require.EqualValues(t, 3, next)
	require.NoError(t, record.Saw([]adminapi.ConsumerState{{Name: "team", Acknowledged: 4}}, time.Now()))
	next, _ = record.Next("team")
	require.EqualValues(t, 5, next)
}

// The time since when a consumer is served survives restarts, and so does its state before its
// durable could be made, while events may be in a spool.
func TestConsumersThatWereServed(t *testing.T) {
	t.Parallel()
	memory, place := &kept{}, at("nats://a", "hookspan")
	wide, narrow := bridge.Filter{}, bridge.Filter{Statuses: []string{"failed"}}
	record := open(t, memory, place)
	require.NoError(t, record.Serve(served(wide), true))
	since := record.Consumers()["team"].Since
	record = open(t, memory, place)
	require.NoError(t, record.Serve(served(narrow), true))
	require.True(t, since.Equal(record.Consumers()["team"].Since))
	require.Equal(t, &wide, record.Consumers()["team"].Before)

	record = open(t, memory, place)
	require.NoError(t, record.Serve(nil, true))
	require.True(t, record.Consumers()["team"].Removed)
	require.NoError(t, record.Made("team"))
	require.Empty(t, record.Consumers())

	require.NoError(t, record.Serve(served(wide), false))
	require.NoError(t, record.Serve(nil, false))
	require.Empty(t, record.Consumers(), "nothing was accepted for it")
}

// Events stay left behind in the earlier place until they are handled, or the place turns out
// to be the same under other addresses.
func TestPlacesThatWereLeft(t *testing.T) {
	t.Parallel()
	memory, created := &kept{}, time.Now().UTC()
	record := open(t, memory, at("nats://a", "hookspan"))
	require.NoError(t, record.Reached(created))
	require.NoError(t, record.Saw([]adminapi.ConsumerState{{Name: "team", Pending: 5}}, time.Now()))

	record = open(t, memory, at("nats://b", "hookspan"))
	require.Len(t, record.Left(), 1)
	require.EqualValues(t, 5, record.Left()[0].Waiting)
	require.NoError(t, record.Counted(record.Left()[0].Place, 4))
	require.EqualValues(t, 4, record.Left()[0].Waiting)
	require.NoError(t, record.Reached(created))
	require.Empty(t, record.Left(), "it is the same stream")

	require.NoError(t, record.Saw([]adminapi.ConsumerState{{Name: "team", Pending: 5}}, time.Now()))
	record = open(t, memory, at(durables.Embedded, "hookspan"))
	require.NoError(t, record.Counted(record.Left()[0].Place, 0))
	require.Empty(t, record.Left())
}

// An orphaned consumer that nobody has read for five minutes is an alarm: during a deployment
// another bridge may read it.
func TestOrphanedConsumerIsAnAlarm(t *testing.T) {
	t.Parallel()
	r := setup(t)
	cfg := r.durable("old", time.Minute).CachedInfo().Config
	cfg.Metadata = map[string]string{consumerstate.MetadataKind: "forward"}
	_, err := r.JS.UpdateConsumer(t.Context(), "HOOKSPAN_EVENTS", cfg)
	require.NoError(t, err)
	clock := &clock{time.Now()}
	_, look := r.watch(&kept{}, clock)
	orphaned := func(alarms []bridge.Alarm) (out []string) {
		for _, a := range alarms {
			if a.Kind == bridge.AlarmConsumerOrphaned {
				out = append(out, a.Text)
			}
		}
		return out
	}
	r.publish(1, 2)
	require.Empty(t, orphaned(look()))
	clock.forward(5 * time.Minute)
	require.Contains(t, orphaned(look())[0], "consumer old is not in the configuration any more, and 2 events wait for it")
	c, err := r.JS.Consumer(t.Context(), "HOOKSPAN_EVENTS", "old")
	require.NoError(t, err)
	_, err = c.Next()
	require.NoError(t, err)
	over := look()
	require.Len(t, over, 1)
	require.True(t, over[0].Cleared, "somebody is busy with its events")
}
