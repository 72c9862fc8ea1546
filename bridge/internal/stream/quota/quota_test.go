package quota_test

import (
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/stream/quota"
	"github.com/hookspan/hookspan/bridge/internal/stream/streamtest"
	"github.com/hookspan/hookspan/internal/natstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func start(t *testing.T) (*streamtest.Bench, func() *quota.Quota) {
	t.Helper()
	b := streamtest.Start(t, streamtest.Config())
	return b, func() *quota.Quota {
		return quota.New(b.JS, quota.Config{
			Names: b.Names, What: "things", All: quota.Rate{PerSecond: 0.001, Burst: 5}, Each: quota.Rate{PerSecond: 0.001, Burst: 3}, Alarms: b.Alarms,
		})
	}
}

func TestOneAndAllHaveTheirRate(t *testing.T) {
	t.Parallel()
	b, fresh := start(t)
	q := fresh()
	for range 3 {
		require.NoError(t, q.Take(t.Context(), "a", 1))
	}
	require.Empty(t, b.Alarms.Kinds())
	require.ErrorIs(t, q.Take(t.Context(), "a", 1), quota.ErrOver)
	require.Equal(t, []string{bridge.AlarmQuota}, b.Alarms.Kinds())
	for range 2 {
		require.NoError(t, q.Take(t.Context(), "b", 1))
	}
	require.ErrorIs(t, q.Take(t.Context(), "c", 1), quota.ErrOver)
}

// The bytes are a part of the stream's limit, at least as much as an event has.
func TestOneAndAllHaveTheirBytes(t *testing.T) {
	t.Parallel()
	_, fresh := start(t)
	q := fresh()
	require.NoError(t, q.Take(t.Context(), "a", 12<<20))
	require.ErrorIs(t, q.Take(t.Context(), "a", 1<<20), quota.ErrOver)
	require.NoError(t, q.Take(t.Context(), "b", 12<<20))
	require.ErrorIs(t, q.Take(t.Context(), "c", 1<<20), quota.ErrOver)
}

// The last tenth of the stream is for webhooks.
func TestNothingOfOthersInAStreamThatIsNearlyFull(t *testing.T) {
	t.Parallel()
	b, fresh := start(t)
	p := b.Publisher()
	body := []byte(`{"pad":"` + strings.Repeat("x", 4<<20) + `"}`)
	for n := range 14 { // of 64 MiB
		e := natstest.Event(strings.Repeat("x", n+1))
		e.Body = body
		_, err := p.Publish(t.Context(), e)
		require.NoError(t, err)
	}
	require.NoError(t, fresh().Take(t.Context(), "a", 1))
	e := natstest.Event("last")
	e.Body = body
	_, err := p.Publish(t.Context(), e)
	require.NoError(t, err)
	err = fresh().Take(t.Context(), "a", 1)
	require.ErrorIs(t, err, quota.ErrOver)
	require.ErrorContains(t, err, "90 % full")
}

func TestStreamThatCannotBeLookedAtIsNoQuota(t *testing.T) {
	t.Parallel()
	b, fresh := start(t)
	require.NoError(t, b.JS.DeleteStream(t.Context(), "HOOKSPAN_EVENTS"))
	err := fresh().Take(t.Context(), "a", 1)
	require.ErrorIs(t, err, jetstream.ErrStreamNotFound)
	require.NotErrorIs(t, err, quota.ErrOver)
	require.Empty(t, b.Alarms.Kinds())
}

// A forgotten holder starts afresh; the memory for holders is bounded.
func TestHolderThatWasSeenLeastLatelyIsForgotten(t *testing.T) {
	t.Parallel()
	much := quota.Rates{Entries: 1, EntriesBurst: 100, Bytes: 1, BytesBurst: 100}
	one := quota.Rates{Entries: 1, EntriesBurst: 1, Bytes: 1, BytesBurst: 100}
	b, now := quota.NewBuckets[string](much, one, 2), time.Now()
	require.Equal(t, quota.Allowed, b.Take("a", 1, now))
	require.Equal(t, quota.Allowed, b.Take("b", 1, now))
	require.Equal(t, quota.OverOwn, b.Take("a", 1, now))
	require.Equal(t, quota.Allowed, b.Take("c", 1, now), "in the place of b")
	require.Equal(t, quota.Allowed, b.Take("b", 1, now), "in the place of a")
	require.Equal(t, quota.OverOwn, b.Take("b", 1, now))
	require.Equal(t, quota.OverOwn, b.Take("c", 1, now))
}

// An entry larger than a holder's rest is allowed once, and then none until that is paid back;
// others are not delayed.
func TestDebtOfOneHolder(t *testing.T) {
	t.Parallel()
	one := quota.Rates{Entries: 1000, EntriesBurst: 1000, Bytes: 10, BytesBurst: 100}
	all := quota.Rates{Entries: 1000, EntriesBurst: 1000, Bytes: 1000, BytesBurst: 1000}
	b, now := quota.NewBuckets[string](all, one, 10), time.Now()
	for range 2 {
		require.Equal(t, quota.Allowed, b.Begin("a", now))
		b.Spend("a", 90, now)
	}
	require.Equal(t, quota.OverOwn, b.Begin("a", now))
	require.Equal(t, quota.Allowed, b.Begin("b", now))
	require.Equal(t, quota.OverOwn, b.Begin("a", now.Add(7*time.Second)))
	require.Equal(t, quota.Allowed, b.Begin("a", now.Add(9*time.Second)))
}
