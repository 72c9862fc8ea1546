package housekeeping

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/stream/streamtest"
	"github.com/hookspan/hookspan/internal/natstest"
)

const (
	limit   = 2 << 20
	perFull = limit / 10_140 // how many events of put fill the stream
)

func janitor(b *streamtest.Bench, alarms bridge.Alarmer) *Janitor {
	return NewJanitor(b.JS, JanitorConfig{Names: b.Names, Young: time.Nanosecond, Alarms: alarms, Logger: zap.NewNop()})
}

func records(t *testing.T, b *streamtest.Bench) (out []Expired) {
	t.Helper()
	s := state(t, b, "HOOKSPAN_DEAD")
	for seq := max(1, s.FirstSeq); seq <= s.LastSeq; seq++ {
		m, err := streamOf(t, b, "HOOKSPAN_DEAD").GetMsg(context.Background(), seq)
		require.NoError(t, err)
		var e Expired
		require.NoError(t, json.Unmarshal(m.Data, &e))
		require.Equal(t, b.Names.Expired(e.Consumer), m.Subject)
		deadLetter, err := bridge.DecodeDeadLetter(bridge.Header(m.Header))
		require.NoError(t, err)
		require.Equal(t, bridge.DeadExpired, deadLetter.Cause)
		out = append(out, e)
	}
	return out
}

// Events that a durable may still need stay, however it reads; events that all have handled go.
// Each case returns the first sequence that must stay.
func TestJanitorKeepsWhatADurableNeeds(t *testing.T) {
	t.Parallel()
	explicit := func(name string, filters ...string) jetstream.ConsumerConfig {
		return jetstream.ConsumerConfig{
			Durable: name, AckPolicy: jetstream.AckExplicitPolicy, FilterSubjects: filters, MaxAckPending: 1000, AckWait: time.Hour,
		}
	}
	n := perFull * 85 / 100
	gone := uint64(n) // more than is ever purged at 85 %
	for name, setUp := range map[string]func(t *testing.T, b *streamtest.Bench) uint64{
		"all handled": func(t *testing.T, b *streamtest.Bench) uint64 {
			read(t, durableOf(t, b, explicit("d")), n, all)
			return gone
		},
		"nothing handled": func(t *testing.T, b *streamtest.Bench) uint64 {
			durableOf(t, b, explicit("d"))
			return 1
		},
		"a filter that nothing matched yet": func(t *testing.T, b *streamtest.Bench) uint64 {
			durableOf(t, b, explicit("d", "hookspan.again.d.>"))
			return gone
		},
		"a narrow filter": func(t *testing.T, b *streamtest.Bench) uint64 {
			// Its first event is the 31st, and unread; the floor is 0.
			durableOf(t, b, explicit("d", "hookspan.events.*.prediction.created.>"))
			return 31
		},
		"several filters, one of them without a match": func(t *testing.T, b *streamtest.Bench) uint64 {
			read(t, durableOf(t, b, explicit("d", failed, "hookspan.again.d.>")), 10, all)
			return 22 // 2, 4, … are failed ones
		},
		"one waits for its answer": func(t *testing.T, b *streamtest.Bench) uint64 {
			read(t, durableOf(t, b, explicit("d")), n, func(seq uint64) bool { return seq != 7 })
			return 7
		},
		"one comes again": func(t *testing.T, b *streamtest.Bench) uint64 {
			c := durableOf(t, b, explicit("d"))
			batch, err := c.Fetch(n, jetstream.FetchMaxWait(5*time.Second))
			require.NoError(t, err)
			for m := range batch.Messages() {
				if meta, _ := m.Metadata(); meta.Sequence.Stream == 9 {
					require.NoError(t, m.NakWithDelay(time.Hour))
					continue
				}
				require.NoError(t, m.DoubleAck(context.Background()))
			}
			return 9
		},
		"paused": func(t *testing.T, b *streamtest.Bench) uint64 {
			read(t, durableOf(t, b, explicit("d")), 5, all)
			_, err := b.JS.PauseConsumer(context.Background(), events, "d", time.Now().Add(time.Hour))
			require.NoError(t, err)
			return 6
		},
		"acknowledges all before": func(t *testing.T, b *streamtest.Bench) uint64 {
			cfg := explicit("d")
			cfg.AckPolicy = jetstream.AckAllPolicy
			read(t, durableOf(t, b, cfg), 20, func(seq uint64) bool { return seq == 12 })
			return 13
		},
		"acknowledges nothing": func(t *testing.T, b *streamtest.Bench) uint64 {
			cfg := explicit("d")
			cfg.AckPolicy, cfg.MaxAckPending, cfg.AckWait = jetstream.AckNonePolicy, 0, 0
			read(t, durableOf(t, b, cfg), 11, func(uint64) bool { return false })
			return 12
		},
		"new ones only": func(t *testing.T, b *streamtest.Bench) uint64 {
			cfg := explicit("d")
			cfg.DeliverPolicy = jetstream.DeliverNewPolicy
			durableOf(t, b, cfg)
			return gone
		},
		"from a time": func(t *testing.T, b *streamtest.Bench) uint64 {
			m, err := streamOf(t, b, events).GetMsg(context.Background(), 25)
			require.NoError(t, err)
			cfg := explicit("d")
			cfg.DeliverPolicy, cfg.OptStartTime = jetstream.DeliverByStartTimePolicy, &m.Time
			durableOf(t, b, cfg)
			return 25
		},
		"delivered as often as it may be": func(t *testing.T, b *streamtest.Bench) uint64 {
			cfg := explicit("d")
			cfg.MaxDeliver, cfg.AckWait = 2, 100*time.Millisecond
			c := durableOf(t, b, cfg)
			read(t, c, n, func(seq uint64) bool { return seq != 1 && seq != 9 })
			read(t, c, 2, func(uint64) bool { return false })
			// A pull that finds their deliveries used up.
			_, err := c.Next(jetstream.FetchMaxWait(300 * time.Millisecond))
			require.Error(t, err)
			require.Eventually(t, func() bool {
				info, err := c.Info(context.Background())
				return err == nil && info.NumAckPending == 0
			}, 10*time.Second, 10*time.Millisecond)
			return gone // the durable is past it
		},
		"the slower one of two": func(t *testing.T, b *streamtest.Bench) uint64 {
			read(t, durableOf(t, b, explicit("quick")), n, all)
			read(t, durableOf(t, b, explicit("slow")), 17, all)
			return 18
		},
		"not durable": func(t *testing.T, b *streamtest.Bench) uint64 {
			read(t, durableOf(t, b, explicit("d")), n, all)
			_, err := b.JS.CreateConsumer(context.Background(), events, jetstream.ConsumerConfig{Name: "passing", InactiveThreshold: time.Hour})
			require.NoError(t, err)
			return gone
		},
		"nobody reads": func(*testing.T, *streamtest.Bench) uint64 { return 1 },
	} {
		t.Run(name, func(t *testing.T) {
			b := small(t, t.TempDir(), limit)
			put(t, b, 30, completed, failed)
			put(t, b, 1, "hookspan.events.get3w.prediction.created.m")
			put(t, b, n-31, failed, completed)
			must := setUp(t, b)
			alarms := &natstest.Alarms{}
			for range 3 {
				require.NoError(t, janitor(b, alarms).Tick(context.Background()))
			}
			s := state(t, b, events)
			if must == gone {
				require.InDelta(t, limit/100*cleanTo, s.Bytes, 30_000, "down to 70 %%")
			} else {
				require.Equal(t, must, s.FirstSeq)
			}
			require.Empty(t, alarms.Take())
			require.Empty(t, records(t, b))
			require.LessOrEqual(t, s.Consumers, 2, "those that count are gone")
		})
	}
}

// An id is known only while its event is stored.
func TestYoungEventsStay(t *testing.T) {
	t.Parallel()
	b := small(t, t.TempDir(), limit)
	put(t, b, perFull*96/100, completed)
	read(t, durableOf(t, b, jetstream.ConsumerConfig{Durable: "d"}), perFull*96/100, all)
	alarms := &natstest.Alarms{}
	j := NewJanitor(b.JS, JanitorConfig{Names: b.Names, Alarms: alarms, Logger: zap.NewNop()})
	require.NoError(t, j.Tick(context.Background()))
	require.EqualValues(t, 1, state(t, b, events).FirstSeq)
	require.Equal(t, []string{bridge.AlarmStoreFull}, natstest.KindsOf(alarms.Take()))

	// Two hours later they may go.
	j.now = func() time.Time { return time.Now().Add(2*time.Hour + time.Second) }
	require.NoError(t, j.Tick(context.Background()))
	require.True(t, alarms.Cleared(bridge.AlarmStoreFull))
	require.Greater(t, state(t, b, events).FirstSeq, uint64(perFull/5))

	// Only the older ones.
	put(t, b, perFull/5, completed)
	m, err := streamOf(t, b, events).GetMsg(context.Background(), uint64(perFull*96/100+10))
	require.NoError(t, err)
	r := &round{Janitor: j, stream: streamOf(t, b, events), now: time.Now()}
	r.info = r.stream.CachedInfo()
	found, err := r.firstSince(context.Background(), m.Time)
	require.NoError(t, err)
	require.Equal(t, m.Sequence, found)
}

// At 95 % the forgotten durable loses its oldest events: they are recorded first, and once,
// even if the process dies in between.
func TestForgottenDurableLosesItsOldest(t *testing.T) {
	t.Parallel()
	for name, durables := range map[string][]string{"a durable": {"forgotten", "quick"}, "nobody": nil} {
		t.Run(name, func(t *testing.T) {
			n := perFull * 98 / 100
			b := small(t, t.TempDir(), limit)
			put(t, b, n, completed, failed)
			consumer := ""
			if durables != nil {
				consumer = "forgotten"
				c := durableOf(t, b, jetstream.ConsumerConfig{Durable: "forgotten", FilterSubject: failed})
				read(t, c, 1, all) // the second event
				read(t, durableOf(t, b, jetstream.ConsumerConfig{Durable: "quick"}), n, all)
			}
			alarms := &natstest.Alarms{}
			j := janitor(b, alarms)
			ctx, kill := context.WithCancel(context.Background())
			defer kill()
			j.cfg.BeforePurge = func(to uint64) {
				if to > 4 {
					kill()
				}
			}
			require.Error(t, j.Tick(ctx))
			lost := records(t, b)
			require.Len(t, lost, 1)
			require.Equal(t, []string{bridge.AlarmExpired}, natstest.KindsOf(alarms.Take()))
			before := state(t, b, events)
			require.Less(t, before.FirstSeq, lost[0].To)

			require.NoError(t, janitor(b, alarms).Tick(context.Background()))
			require.Equal(t, lost, records(t, b), "one record")
			require.Empty(t, alarms.Take())
			after := state(t, b, events)
			require.Greater(t, after.FirstSeq, before.FirstSeq)
			require.LessOrEqual(t, after.FirstSeq, lost[0].To+1, "nothing leaves that is not recorded")
			require.InDelta(t, limit/100*giveUpTo, after.Bytes, 30_000)

			e := lost[0]
			require.Equal(t, consumer, e.Consumer)
			require.Equal(t, "room", e.Reason)
			require.False(t, e.FirstTime.IsZero())
			require.False(t, e.LastTime.Before(e.FirstTime))
			if durables == nil {
				require.EqualValues(t, 1, e.From)
				require.Equal(t, e.To-e.From+1, e.Count)
			} else {
				require.EqualValues(t, 4, e.From)
				require.Equal(t, e.To/2-1, e.Count, "the even ones from 4 on")
			}
		})
	}
}

// Without room for the record nothing is purged.
func TestNoRecordNoPurge(t *testing.T) {
	t.Parallel()
	b := small(t, t.TempDir(), limit)
	put(t, b, perFull*96/100, completed)
	durableOf(t, b, jetstream.ConsumerConfig{Durable: "forgotten"})
	cfg := streamOf(t, b, "HOOKSPAN_DEAD").CachedInfo().Config
	cfg.MaxBytes = 10
	_, err := b.JS.UpdateStream(context.Background(), cfg)
	require.NoError(t, err)
	alarms := &natstest.Alarms{}
	require.Error(t, janitor(b, alarms).Tick(context.Background()))
	require.EqualValues(t, 1, state(t, b, events).FirstSeq)
	require.Equal(t, []string{bridge.AlarmStoreFull}, natstest.KindsOf(alarms.Take()))
}

// Events that are about to age out unhandled are recorded once per range.
func TestAgingEventsAreRecorded(t *testing.T) {
	t.Parallel()
	b := small(t, t.TempDir(), limit)
	put(t, b, 20, completed)
	c := durableOf(t, b, jetstream.ConsumerConfig{Durable: "slow"})
	read(t, c, 5, all)
	read(t, durableOf(t, b, jetstream.ConsumerConfig{Durable: "quick"}), 20, all)
	alarms := &natstest.Alarms{}
	j := janitor(b, alarms)
	maxAge := streamOf(t, b, events).CachedInfo().Config.MaxAge
	j.now = func() time.Time { return time.Now().Add(maxAge - 40*time.Minute) }
	require.NoError(t, j.Tick(context.Background()))
	require.Empty(t, records(t, b), "there is time")

	j.now = func() time.Time { return time.Now().Add(maxAge - 20*time.Minute) }
	for range 3 {
		require.NoError(t, j.Tick(context.Background()))
	}
	require.Equal(t, []string{bridge.AlarmExpired}, natstest.KindsOf(alarms.Take()))
	lost := records(t, b)
	require.Len(t, lost, 1)
	require.Equal(t, "slow", lost[0].Consumer)
	require.Equal(t, "age", lost[0].Reason)
	require.EqualValues(t, 6, lost[0].From)
	require.EqualValues(t, 20, lost[0].To)
	require.EqualValues(t, 15, lost[0].Count)

	// Another durable of that name has lost nothing yet.
	require.NoError(t, b.JS.DeleteConsumer(context.Background(), events, "slow"))
	durableOf(t, b, jetstream.ConsumerConfig{Durable: "slow"})
	require.NoError(t, j.Tick(context.Background()))
	require.Len(t, records(t, b), 2)
}

// Two weeks of traffic, in bytes: twenty times the stream's size passes through it and no event
// is refused.
func TestHandledEventsNeverFillTheStream(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b := small(t, dir, limit)
	alarms := &natstest.Alarms{}
	j := janitor(b, alarms)
	c := durableOf(t, b, jetstream.ConsumerConfig{Durable: "d", FilterSubjects: []string{completed, "hookspan.again.d.>"}})
	narrow := durableOf(t, b, jetstream.ConsumerConfig{Durable: "narrow", FilterSubject: failed})
	const batch = 20
	for state(t, b, events).LastSeq < 20*perFull {
		put(t, b, batch-1, completed)
		put(t, b, 1, failed)
		read(t, c, batch-1, all)
		read(t, narrow, 1, all)
		require.NoError(t, j.Tick(context.Background()))
	}
	require.Empty(t, alarms.Take())
	require.Empty(t, records(t, b))
	var onDisk int64
	require.NoError(t, filepath.WalkDir(filepath.Join(dir, "nats"), func(_ string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // the server replaces files meanwhile
		}
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			onDisk += info.Size()
		}
		return err
	}))
	t.Logf("%d events of 10 kB through %d bytes; %d bytes on the disk", state(t, b, events).LastSeq, limit, onDisk)
	require.Less(t, onDisk, int64(4*limit), "the space is free on the disk too")
}
