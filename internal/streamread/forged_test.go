package streamread_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/internal/natstest"
	"github.com/hookspan/hookspan/internal/streamread"
)

// Where and when a message was stored is what the server says, not its publisher, however the
// message is asked for.
func TestForgedHeaders(t *testing.T) {
	t.Parallel()
	for _, direct := range []bool{true, false} {
		t.Run(strconv.FormatBool(direct), func(t *testing.T) {
			t.Parallel()
			b := natstest.Start(t)
			began := time.Now()
			_, err := b.JS.CreateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s.>"}, AllowDirect: direct})
			require.NoError(t, err)
			for range 3 {
				_, err := b.JS.PublishMsg(t.Context(), &nats.Msg{Subject: "s.a", Header: nats.Header{
					"Nats-Sequence": {"1"}, "Nats-Subject": {"s.b"}, "Nats-Time-Stamp": {"2001-02-03T04:05:06Z", "2002-02-03T04:05:06Z"}, "Nats-Stream": {"T"},
				}})
				require.NoError(t, err)
			}
			stream, err := streamread.Open(t.Context(), b.JS, "S")
			require.NoError(t, err)
			for _, newest := range []bool{false, true} {
				var got []uint64
				require.NoError(t, streamread.Walk(t.Context(), stream, streamread.Span{Subject: "s.a", Newest: newest}, func(m *jetstream.RawStreamMsg) error {
					got = append(got, m.Sequence)
					require.Equal(t, "s.a", m.Subject)
					require.WithinDuration(t, began, m.Time, time.Hour)
					return nil
				}))
				require.ElementsMatch(t, []uint64{1, 2, 3}, got)
			}
		})
	}
}
