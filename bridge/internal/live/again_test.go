package live_test

import (
	"context"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge/internal/live"
	"github.com/hookspan/hookspan/internal/adminapi"
)

// A client that comes again misses nothing, whether the process remembers or not.
func TestLastEventID(t *testing.T) {
	t.Parallel()
	b := start(t, live.Limits{RingMessages: 10})
	c := b.fresh(query())
	b.storeMany(1, 5)
	c.rows(1, 5)
	c.leave()
	b.storeMany(6, 8)
	c = b.open(query(), c.last) // from memory
	c.rows(6, 8)
	c.leave()
	b.storeMany(9, 40) // more than the memory holds
	b.eventually(func() bool { at, _ := b.streams.Read(); return at == 40 })
	c = b.open(query(), c.last)
	c.rows(9, 40)
	b.storeMany(41, 41)
	c.rows(41, 41)
	b.stop()
	c.ended()
	b.storeMany(42, 60)
	b.serve()
	c = b.open(query("last_event_id="+c.last), "")
	c.rows(42, 60)
	b.storeMany(61, 61)
	c.rows(61, 61)

	both := b.open(query("last_event_id=1"), "59")
	both.rows(60, 61)
	b.open(query(), "0").rows(1, 61)
}

// Nothing is missed or told twice while events are stored and clients come again.
func TestComingAgainWhileEventsAreStored(t *testing.T) {
	t.Parallel()
	const n, clients = 1000, 4
	b := start(t, live.Limits{Batch: 20, RingMessages: 60, Burst: 1000, CatchUp: math.MaxInt})
	stored := make(chan struct{})
	go func() {
		defer close(stored)
		for i := 1; i <= n; i++ {
			if _, err := b.Publish(context.Background(), event(id(i), "completed", "m")); err != nil {
				return // the test ends
			}
		}
	}()
	defer func() { <-stored }()
	for k := range clients {
		b.persist(1, n, 100+37*k)
	}
}

// What is left out of the past is said with its number and its place.
func TestGapOfAClientThatWasAwayForLong(t *testing.T) {
	t.Parallel()
	b := start(t, live.Limits{CatchUp: 10})
	b.storeMany(1, 50)
	c := b.open(query(), "5")
	c.rows(6, 15)
	require.Equal(t, adminapi.LeftOut{LeftOut: 35, After: 15, Until: 50, Cause: adminapi.GapBehind}, c.leftOut(adminapi.LiveGap))
	require.Equal(t, "50", c.last)
	b.storeMany(51, 51)
	c.rows(51, 51)

	// Only what the filter picks counts, as far as subjects can say it.
	for i := 1; i <= 12; i++ {
		b.store(event(fmt.Sprintf("failed_%d", i), "failed", "m"))
	}
	b.stop()
	b.serve()
	c = b.open(query("status=failed"), "0")
	for i := 1; i <= 10; i++ {
		require.Equal(t, fmt.Sprintf("failed_%d", i), c.row().Prediction)
	}
	require.EqualValues(t, 2, c.leftOut(adminapi.LiveGap).LeftOut)
}

// What has left the stream is said too.
func TestPurgedStream(t *testing.T) {
	t.Parallel()
	b := start(t, live.Limits{})
	c := b.fresh(query())
	b.storeMany(1, 5)
	c.rows(1, 5)
	stream, err := b.JS.Stream(t.Context(), b.Names.EventsStream())
	require.NoError(t, err)
	require.NoError(t, stream.Purge(t.Context()))
	b.storeMany(6, 8)
	c.rows(6, 8) // whoever was there misses nothing

	b.stop()
	b.serve()
	c = b.open(query(), "2")
	require.Equal(t, adminapi.LeftOut{LeftOut: 3, After: 2, Until: 5, Cause: adminapi.GapGone}, c.leftOut(adminapi.LiveGap))
	c.rows(6, 8)
	require.NoError(t, stream.Purge(t.Context()))
	c = b.open(query(), "8")
	b.storeMany(9, 9)
	c.rows(9, 9)
}

// A stream that is made anew begins its sequences again; whoever was there goes on with it.
func TestStreamMadeAnew(t *testing.T) {
	t.Parallel()
	b := start(t, live.Limits{})
	c := b.fresh(query())
	b.storeMany(1, 5)
	c.rows(1, 5)
	stream, err := b.JS.Stream(t.Context(), b.Names.EventsStream())
	require.NoError(t, err)
	require.NoError(t, b.JS.DeleteStream(t.Context(), b.Names.EventsStream()))
	_, err = b.JS.CreateStream(t.Context(), stream.CachedInfo().Config)
	require.NoError(t, err)
	b.storeMany(11, 12)
	require.Equal(t, adminapi.LeftOut{Cause: adminapi.GapAnew}, c.leftOut(adminapi.LiveGap))
	c.rows(11, 12)
	require.Equal(t, "2", c.last)
	old := b.open(query(), "5") // it was not there
	require.Equal(t, adminapi.LeftOut{After: 2, Until: 2, Cause: adminapi.GapAnew}, old.leftOut(adminapi.LiveGap))
	b.storeMany(13, 13)
	old.rows(13, 13)
	c.rows(13, 13)
}

// A place that no stream has is refused, or answered with a gap; then the client is told what
// comes.
func TestHostileLastEventID(t *testing.T) {
	t.Parallel()
	b := start(t, live.Limits{})
	b.storeMany(1, 3)
	for _, text := range []string{
		"-1", "+1", "1.5", "1e3", "0x1", "x", "١", "NaN", "9223372036854775808", "18446744073709551616", "1,2", "1 2", "1;2", "'", "%00", "<b>",
		strings.Repeat("9", 1000), strings.Repeat("x", 30_000),
	} {
		res := b.get(t.Context(), query(), text)
		require.Equal(t, 400, res.StatusCode, text)
		require.NoError(t, res.Body.Close())
	}
	res := b.get(t.Context(), query("last_event_id=%0A1"), "")
	require.Equal(t, 400, res.StatusCode)
	require.NoError(t, res.Body.Close())
	ahead := []*client{}
	for _, text := range []string{"4", fmt.Sprint(math.MaxInt64)} {
		c := b.open(query(), text)
		require.Equal(t, adminapi.LeftOut{After: 3, Until: 3, Cause: adminapi.GapAnew}, c.leftOut(adminapi.LiveGap), text)
		ahead = append(ahead, c)
	}
	ahead = append(ahead, b.open(query(), "3"), b.open(query(), "0003"))
	b.storeMany(4, 4)
	for _, c := range ahead {
		c.rows(4, 4)
	}
}

// While NATS is away streams are open and silent; then they go on where they were.
func TestNATSAway(t *testing.T) {
	t.Parallel()
	b := start(t, live.Limits{})
	c := b.fresh(query())
	b.storeMany(1, 3)
	c.rows(1, 3)
	b.Stop()
	during, again := b.open(query(), ""), b.open(query(), "1")
	b.Start()
	b.eventually(b.NC.IsConnected)
	require.Equal(t, "3", during.any().ID)
	b.storeMany(4, 5)
	c.rows(4, 5)
	again.rows(2, 5)
	during.rows(4, 5)
}
