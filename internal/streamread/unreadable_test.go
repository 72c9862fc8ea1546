package streamread_test

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/natstest"
	"github.com/hookspan/hookspan/internal/streamread"
)

// A message whose header cannot be used is there: whoever acts on it alone must come again,
// since another copy of it may be whole. A scan for damage passes it over.
func TestHeaderThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	b := natstest.Start(t)
	_, err := b.JS.CreateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s.>"}})
	require.NoError(t, err)
	stream, err := streamread.Open(t.Context(), b.JS, "S")
	require.NoError(t, err)
	raw, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(b.URL(), "nats://"))
	require.NoError(t, err)
	defer func() { require.NoError(t, raw.Close()) }()
	const header = "garbage\r\n\r\n"
	_, err = fmt.Fprintf(raw, "CONNECT {\"headers\":true,\"verbose\":false}\r\nHPUB s.a %d %d\r\n%s\r\n", len(header), len(header), header)
	require.NoError(t, err)
	require.Eventually(t, func() bool { return b.Messages(t, "S") == 1 }, 20*time.Second, time.Millisecond)

	_, err = streamread.Get(t.Context(), stream, 1)
	require.Error(t, err)
	require.NotErrorIs(t, err, bridge.ErrNotFound)
	_, err = streamread.GetReadable(t.Context(), stream, 1)
	require.ErrorIs(t, err, bridge.ErrNotFound)
	_, err = streamread.Get(t.Context(), stream, 2)
	require.ErrorIs(t, err, bridge.ErrNotFound)
	require.Error(t, streamread.Walk(t.Context(), stream, streamread.Span{Subject: ">", Sequences: []uint64{1}}, func(*jetstream.RawStreamMsg) error { return nil }),
		"a redrive of that message does not say that it is gone")
}
