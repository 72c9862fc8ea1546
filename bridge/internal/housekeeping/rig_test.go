package housekeeping

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/hookspan/hookspan/bridge/internal/stream/streamtest"
	"github.com/hookspan/hookspan/internal/streamread"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const events = "HOOKSPAN_EVENTS"

type paper struct {
	text []byte
	fail bool
}

func (p *paper) Load() ([]byte, error) { return p.text, nil }

func (p *paper) Save(text []byte) error {
	if p.fail {
		return errors.New("the disk is full")
	}
	p.text = text
	return nil
}

// small starts a server with a stream of events of that many bytes.
func small(t *testing.T, dir string, maxBytes int64) *streamtest.Bench {
	t.Helper()
	cfg := streamtest.Config()
	cfg.Streams.MaxBytes = maxBytes
	return streamtest.StartIn(t, dir, cfg)
}

func streamOf(t *testing.T, b *streamtest.Bench, name string) *streamread.Stream {
	t.Helper()
	s, err := streamread.Open(context.Background(), b.JS, name)
	require.NoError(t, err)
	return s
}

func state(t *testing.T, b *streamtest.Bench, name string) jetstream.StreamState {
	t.Helper()
	return streamOf(t, b, name).CachedInfo().State
}

const (
	completed = "hookspan.events.get3w.prediction.completed.m"
	failed    = "hookspan.events.get3w.prediction.failed.m"
)

func put(t *testing.T, b *streamtest.Bench, n int, subjects ...string) {
	t.Helper()
	msgs := make([]*nats.Msg, n)
	for i := range msgs {
		msgs[i] = nats.NewMsg(subjects[i%len(subjects)])
		msgs[i].Data = []byte(strings.Repeat("0123456789", 1000))
		msgs[i].Header["ce-id"] = []string{"pred/completed/0123456789abcdef"}
	}
	if n <= 50 {
		for _, m := range msgs {
			_, err := b.JS.PublishMsg(context.Background(), m)
			require.NoError(t, err)
		}
		return
	}
	publisher := b.Publisher()
	for block := range slices.Chunk(msgs, 50) { // they share a sync
		for _, o := range publisher.StoreAll(context.Background(), events, block) {
			require.NoError(t, o.Err)
		}
	}
}

func durableOf(t *testing.T, b *streamtest.Bench, cfg jetstream.ConsumerConfig) jetstream.Consumer {
	t.Helper()
	c, err := b.JS.CreateConsumer(context.Background(), events, cfg)
	require.NoError(t, err)
	return c
}

// read fetches n messages and acknowledges those for which ack returns true.
func read(t *testing.T, c jetstream.Consumer, n int, ack func(sequence uint64) bool) {
	t.Helper()
	batch, err := c.Fetch(n, jetstream.FetchMaxWait(5*time.Second))
	require.NoError(t, err)
	got := 0
	for m := range batch.Messages() {
		got++
		meta, err := m.Metadata()
		require.NoError(t, err)
		if ack(meta.Sequence.Stream) {
			require.NoError(t, m.DoubleAck(context.Background()))
		}
	}
	require.NoError(t, batch.Error())
	require.Equal(t, n, got)
}

func all(uint64) bool { return true }
