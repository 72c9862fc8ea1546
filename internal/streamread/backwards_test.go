package streamread_test

import (
	"errors"
	"slices"
	"strconv"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/internal/natstest"
	"github.com/hookspan/hookspan/internal/streamread"
)

// A backward walk visits what a forward walk visits, in the other order, whatever is selected
// or removed, over many stretches.
func TestWalkBackwards(t *testing.T) {
	t.Parallel()
	b := natstest.Start(t)
	made, err := b.JS.CreateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s.>"}, Storage: jetstream.MemoryStorage})
	require.NoError(t, err)
	const n = 1000
	for i := 1; i <= n; i++ {
		subject := "s.b"
		if i%3 == 0 {
			subject = "s.a"
		}
		if i == 2 || i == 777 {
			subject = "s.rare"
		}
		_, err := b.JS.Publish(t.Context(), subject, []byte(strconv.Itoa(i)))
		require.NoError(t, err)
	}
	for i := uint64(1); i <= n; i++ {
		if i == 1 || i%5 == 0 || i > 300 && i < 700 || i == n {
			require.NoError(t, made.DeleteMsg(t.Context(), i))
		}
	}
	stream, err := streamread.Open(t.Context(), b.JS, "S")
	require.NoError(t, err)
	walk := func(s streamread.Span) []uint64 {
		got := []uint64{}
		require.NoError(t, streamread.Walk(t.Context(), stream, s, func(m *jetstream.RawStreamMsg) error {
			require.Equal(t, strconv.FormatUint(m.Sequence, 10), string(m.Data))
			got = append(got, m.Sequence)
			return nil
		}))
		return got
	}
	for _, subject := range []string{">", "s.a", "s.rare", "s.none"} {
		for _, after := range []uint64{0, 2, 299, 500, 999, 5000} {
			for _, before := range []uint64{0, 1, 3, 300, 501, 998, 5000} {
				s := streamread.Span{Subject: subject, After: after, Before: before}
				want := walk(s)
				slices.Reverse(want)
				s.Newest = true
				require.Equal(t, want, walk(s), "%+v", s)
			}
		}
	}
	require.Equal(t, []uint64{2, 777}, walk(streamread.Span{Subject: "s.rare"}))

	enough := errors.New("enough")
	var got []uint64
	require.ErrorIs(t, streamread.Walk(t.Context(), stream, streamread.Span{Subject: ">", Newest: true}, func(m *jetstream.RawStreamMsg) error {
		if got = append(got, m.Sequence); len(got) == 2 {
			return enough
		}
		return nil
	}), enough)
	require.Equal(t, []uint64{999, 998}, got)
}
