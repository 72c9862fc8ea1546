package streamread_test

import (
	"context"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/internal/natstest"
	"github.com/hookspan/hookspan/internal/streamread"
)

// storeStatuses fills a stream of its own with messages that nats.go takes for words of the
// server: at its head, in long rows and at its end, with others between them.
func storeStatuses(t *testing.T, b *natstest.Streams, direct bool) (last uint64) {
	t.Helper()
	_, err := b.JS.CreateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s.>"}, AllowDirect: direct, Storage: jetstream.MemoryStorage})
	require.NoError(t, err)
	others := func() {
		for range 3 {
			_, err := b.JS.Publish(t.Context(), "s.other", []byte("body"))
			require.NoError(t, err)
		}
	}
	b.StoreStatuses(t, "S", "s.status")
	others()
	headers := natstest.StatusHeaders()
	for i := range 1200 { // more than a request is for
		_, err := b.JS.PublishMsgAsync(&nats.Msg{Subject: "s.status", Header: headers[i%len(headers)]})
		require.NoError(t, err)
	}
	<-b.JS.PublishAsyncComplete()
	others()
	_, err = b.JS.PublishMsg(t.Context(), &nats.Msg{Subject: "s.body", Header: headers[0], Data: []byte("hidden only from those who read headers")})
	require.NoError(t, err)
	b.StoreStatuses(t, "S", "s.status")
	return b.Messages(t, "S")
}

// upTo returns the sequences 1 to last.
func upTo(last uint64) (all []uint64) {
	for seq := uint64(1); seq <= last; seq++ {
		all = append(all, seq)
	}
	return all
}

// A reader visits every message once, whatever its headers say, and comes to the end.
func TestReaderBelievesNoPublisher(t *testing.T) {
	t.Parallel()
	b := natstest.Start(t)
	last := storeStatuses(t, b, true)
	for _, headersOnly := range []bool{false, true} {
		t.Run("headers only: "+strconv.FormatBool(headersOnly), func(t *testing.T) {
			t.Parallel()
			read := func(cfg streamread.ReaderConfig, to uint64) (got []uint64) {
				cfg.Stream, cfg.HeadersOnly = "S", headersOnly
				r, err := streamread.NewReader(t.Context(), b.JS, cfg)
				require.NoError(t, err)
				defer r.Close(t.Context())
				require.NoError(t, r.ReadTo(t.Context(), to, func(meta *jetstream.MsgMetadata, m jetstream.Msg) error {
					got = append(got, meta.Sequence.Stream)
					require.NotEmpty(t, m.Subject())
					return nil
				}))
				return got
			}
			require.Equal(t, upTo(last), read(streamread.ReaderConfig{}, last))
			require.Equal(t, upTo(last)[10:500], read(streamread.ReaderConfig{After: 10}, 500))
			require.Equal(t, upTo(last), read(streamread.ReaderConfig{Since: time.Now().Add(-time.Hour)}, last))
			require.Empty(t, read(streamread.ReaderConfig{New: true}, last))
			require.Len(t, read(streamread.ReaderConfig{Subjects: []string{"s.other"}}, last), 6)

			r, err := streamread.NewReader(t.Context(), b.JS, streamread.ReaderConfig{Stream: "S", HeadersOnly: headersOnly})
			require.NoError(t, err)
			defer r.Close(t.Context())
			var got []uint64
			for uint64(len(got)) < last { // each request is for one message, or for a few
				require.NoError(t, r.Fetch(t.Context(), min(1+len(got)%100, int(last)-len(got)), 0, time.Minute, func(meta *jetstream.MsgMetadata, _ jetstream.Msg) error {
					got = append(got, meta.Sequence.Stream)
					return nil
				}))
			}
			require.Equal(t, upTo(last), got)
			require.Zero(t, r.Pending())
		})
	}
}

// A reader that came to the end has everything: messages that went elsewhere are an error, and
// those that were removed, or alone are larger than a request, hold nothing up.
func TestReaderMissesNothing(t *testing.T) {
	t.Parallel()
	b := natstest.Start(t)
	created, err := b.JS.CreateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s.>"}, Storage: jetstream.MemoryStorage})
	require.NoError(t, err)
	for _, size := range []int{1, 900 << 10, 1, 1} {
		_, err := b.JS.Publish(t.Context(), "s.a", make([]byte, size))
		require.NoError(t, err)
	}
	open := func() *streamread.Reader {
		r, err := streamread.NewReader(t.Context(), b.JS, streamread.ReaderConfig{Stream: "S"})
		require.NoError(t, err)
		t.Cleanup(func() { r.Close(context.Background()) })
		return r
	}
	none := func(*jetstream.MsgMetadata, jetstream.Msg) error { return nil }
	robbed := open()
	info, err := robbed.Info(t.Context())
	require.NoError(t, err)
	robber, err := b.JS.Consumer(t.Context(), "S", info.Name)
	require.NoError(t, err)
	for range 4 {
		_, err := robber.Next()
		require.NoError(t, err)
	}
	require.ErrorContains(t, robbed.ReadTo(t.Context(), 4, none), "missing")

	r := open()
	require.NoError(t, r.Fetch(t.Context(), 4, 100<<10, time.Minute, none), "the second message is larger")
	require.EqualValues(t, 3, r.Pending())
	require.NoError(t, created.DeleteMsg(t.Context(), 3))
	require.NoError(t, created.DeleteMsg(t.Context(), 4))
	require.NoError(t, r.ReadTo(t.Context(), 4, none))
	require.Zero(t, r.Pending())

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, open().ReadTo(ctx, 4, none), context.Canceled)
}

// Single messages are read whatever their headers say, and a walk visits each.
func TestSingleReadsBelieveNoPublisher(t *testing.T) {
	t.Parallel()
	for _, direct := range []bool{true, false} {
		t.Run("direct: "+strconv.FormatBool(direct), func(t *testing.T) {
			t.Parallel()
			b := natstest.Start(t)
			last := storeStatuses(t, b, direct)
			stream, err := streamread.Open(t.Context(), b.JS, "S")
			require.NoError(t, err)
			walk := func(s streamread.Span) (got []uint64) {
				s.Unreadable = func() { t.Error("every message can be read") }
				require.NoError(t, streamread.Walk(t.Context(), stream, s, func(m *jetstream.RawStreamMsg) error {
					got = append(got, m.Sequence)
					return nil
				}))
				return got
			}
			require.Equal(t, upTo(last), walk(streamread.Span{Subject: ">"}))
			backwards := walk(streamread.Span{Subject: ">", Newest: true})
			slices.Reverse(backwards)
			require.Equal(t, upTo(last), backwards)
			require.Len(t, walk(streamread.Span{Subject: "s.other"}), 6)
			m, err := stream.GetLastMsgForSubject(t.Context(), "s.status")
			require.NoError(t, err)
			require.Equal(t, last, m.Sequence)
			require.Equal(t, "s.status", m.Subject)
			_, err = stream.GetLastMsgForSubject(t.Context(), "s.none")
			require.ErrorIs(t, err, jetstream.ErrMsgNotFound)
			m, err = streamread.GetReadable(t.Context(), stream, 5)
			require.NoError(t, err)
			require.Equal(t, natstest.StatusHeaders()[4]["Status"], m.Header["Status"])
			first, err := streamread.FirstSince(t.Context(), stream, m.Time)
			require.NoError(t, err)
			require.EqualValues(t, 5, first)
			require.NoError(t, streamread.Remove(t.Context(), stream, 5))
		})
	}
}

// Who asks where nobody answers learns so at once.
func TestNobodyAnswers(t *testing.T) {
	t.Parallel()
	b := natstest.Start(t)
	_, err := streamread.Direct(t.Context(), b.JS, "NONE", []byte(`{"seq":1}`))
	require.ErrorIs(t, err, nats.ErrNoResponders)
}
