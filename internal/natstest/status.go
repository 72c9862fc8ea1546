package natstest

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
)

// StatusHeaders are headers of messages without a body that nats.go (1.55.0) takes for what the
// server says of a request, although anybody may publish them.
func StatusHeaders() (all []nats.Header) {
	for _, is := range []string{
		"100", "100 Idle Heartbeat", "100 FlowControl Request", "400 Bad Request", "404", "404 No Messages", "408 Request Timeout",
		"409", "409 Batch Completed", "409 Consumer Deleted", "409 Leadership Change", "409 Message Size Exceeds MaxBytes", "409 Server Shutdown",
		"423 Nats-Wrong-Pin-Id", "503", "503 No Responders", "-1", "nonsense",
	} {
		code, text, _ := strings.Cut(is, " ")
		h := nats.Header{"Status": {code}}
		if text != "" {
			h["Description"] = []string{text}
		}
		all = append(all, h)
	}
	return all
}

// StoreStatuses stores a message with each of [StatusHeaders], and one whose first line of the
// header has a status, and returns how many.
func (s *Streams) StoreStatuses(t testing.TB, stream, subject string) int {
	t.Helper()
	headers := StatusHeaders()
	for _, h := range headers {
		_, err := s.JS.PublishMsg(context.Background(), &nats.Msg{Subject: subject, Header: h})
		require.NoError(t, err)
	}
	before := s.lastOf(t, stream)
	raw, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", strings.TrimPrefix(s.URL(), "nats://"))
	require.NoError(t, err)
	defer func() { require.NoError(t, raw.Close()) }()
	const header = "NATS/1.0 503 No Responders\r\n\r\n"
	_, err = fmt.Fprintf(raw, "CONNECT {\"headers\":true,\"verbose\":false}\r\nHPUB %s %d %d\r\n%s\r\n", subject, len(header), len(header), header)
	require.NoError(t, err)
	require.Eventually(t, func() bool { return s.lastOf(t, stream) > before }, patience, time.Millisecond)
	return len(headers) + 1
}

// lastOf returns the last sequence of a stream.
func (s *Streams) lastOf(t testing.TB, name string) uint64 {
	t.Helper()
	stream, err := s.JS.Stream(context.Background(), name)
	require.NoError(t, err)
	return stream.CachedInfo().State.LastSeq
}
