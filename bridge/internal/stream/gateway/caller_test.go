package gateway_test

import (
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/natstest"
)

// User app reads single messages as if it called JetStream itself.
func TestAppReadsMessages(t *testing.T) {
	t.Parallel()
	b, js := asApp(t)
	ctx := t.Context()
	e := natstest.Event("pred_1")
	r, err := b.Publisher().Publish(ctx, e)
	require.NoError(t, err)
	stream, err := js.Stream(ctx, "HOOKSPAN_EVENTS")
	require.NoError(t, err)
	subject := b.Names.Event(e.Source, e.Status, e.Model)
	for _, get := range []func() (*jetstream.RawStreamMsg, error){
		func() (*jetstream.RawStreamMsg, error) { return stream.GetMsg(ctx, r.Sequence) },
		func() (*jetstream.RawStreamMsg, error) { return stream.GetLastMsgForSubject(ctx, subject) },
	} {
		m, err := get()
		require.NoError(t, err)
		require.Equal(t, e.Body, m.Data)
		require.Equal(t, subject, m.Subject)
		require.Equal(t, r.Sequence, m.Sequence)
	}
	_, err = stream.GetMsg(ctx, 77)
	require.ErrorIs(t, err, jetstream.ErrMsgNotFound)
	kv, err := js.Conn().Request("$JS.API.STREAM.MSG.GET.HOOKSPAN_EVENTS", []byte(`{"seq":1}`), patience)
	require.NoError(t, err)
	require.Contains(t, string(kv.Data), `"type":"io.nats.jetstream.api.v1.stream_msg_get_response"`)
	require.Contains(t, string(kv.Data), subject)
}

// One answer for each request: calls that JetStream would answer with many messages, and
// unreadable ones, are refused in the form that clients know.
func TestReadsThatAreRefused(t *testing.T) {
	t.Parallel()
	_, js := asApp(t)
	for body, want := range map[string]string{
		`{"batch":100,"seq":1}`:                "one message at a time",
		`{"multi_last":["hookspan.events.>"]}`: "one message at a time",
		`[`:                                    "not the JSON",
		`{"pad":"` + strings.Repeat("x", 5000) + `"}`: "at most 4096 bytes",
	} {
		for _, api := range []string{"$JS.API.DIRECT.GET.HOOKSPAN_EVENTS", "$JS.API.STREAM.MSG.GET.HOOKSPAN_EVENTS"} {
			m, err := js.Conn().Request(api, []byte(body), patience)
			require.NoError(t, err)
			require.Contains(t, m.Header.Get("Description")+string(m.Data), want, "%s %s", api, body)
		}
	}
	_, err := js.Conn().Request("$JS.API.DIRECT.GET.HOOKSPAN_QUARANTINE", []byte(`{"seq":1}`), patience/40)
	require.ErrorIs(t, err, nats.ErrTimeout, "the account lets nothing else through")
	for body, want := range map[string]string{
		`{"subjects_filter":">"}`:                            "of one consumer",
		`{"subjects_filter":"$KV.HOOKSPAN_ATTEMPTS.>"}`:      "of one consumer",
		`{"subjects_filter":"$KV.HOOKSPAN_ATTEMPTS.mine.>"}`: `"config"`,
	} {
		m, err := js.Conn().Request("$JS.API.STREAM.INFO.KV_HOOKSPAN_ATTEMPTS", []byte(body), patience)
		require.NoError(t, err)
		require.Contains(t, string(m.Data), want, body)
	}
}

// Calls that wrongly configured accounts pass on are not made with the permissions of the
// bridge.
func TestCallsForOtherStreamsAreRefused(t *testing.T) {
	t.Parallel()
	b, _ := asApp(t)
	_, err := b.JS.CreateStream(t.Context(), jetstream.StreamConfig{Name: "PAYROLL", Subjects: []string{"payroll"}, AllowDirect: true})
	require.NoError(t, err)
	_, err = b.JS.Publish(t.Context(), "payroll", []byte("salary"))
	require.NoError(t, err)
	for _, call := range []string{
		"STREAM.MSG.GET.PAYROLL", "DIRECT.GET.PAYROLL", "DIRECT.GET.PAYROLL.payroll", "STREAM.INFO.PAYROLL", "STREAM.PURGE.HOOKSPAN_EVENTS",
		"STREAM.DELETE.HOOKSPAN_EVENTS", "DIRECT.GET.HOOKSPAN_QUARANTINE", "CONSUMER.INFO.HOOKSPAN_EVENTS", "CONSUMER.DELETE.HOOKSPAN_EVENTS.x",
	} {
		for _, prefix := range []string{"hookspan.api.", "hookspan.get."} {
			m, err := b.NC.Request(prefix+call, []byte(`{"seq":1}`), patience)
			require.NoError(t, err)
			require.Contains(t, m.Header.Get("Description")+string(m.Data), "not for other programs", call)
		}
	}
	require.EqualValues(t, 1, b.Messages(t, "PAYROLL"))
}

// A program that makes many calls and leaves delays no other one.
func TestReadsOfOneProgramDoNotHoldUpOthers(t *testing.T) {
	t.Parallel()
	b, js := asApp(t)
	large := natstest.Event("large")
	large.Body = []byte(`{"pad":"` + strings.Repeat("x", 3<<20) + `"}`)
	for _, e := range []*bridge.Event{large, natstest.Event("small")} {
		_, err := b.Publisher().Publish(t.Context(), e)
		require.NoError(t, err)
	}
	greedy := b.App().Conn()
	for range 2000 {
		require.NoError(t, greedy.PublishRequest("$JS.API.DIRECT.GET.HOOKSPAN_EVENTS", greedy.NewInbox(), []byte(`{"seq":1}`)))
	}
	require.NoError(t, greedy.Flush())
	greedy.Close()
	require.Eventually(t, func() bool { // a client on a busy machine may have to retry
		stream, err := js.Stream(t.Context(), "HOOKSPAN_EVENTS")
		if err != nil {
			return false
		}
		m, err := stream.GetMsg(t.Context(), 2)
		return err == nil && m.Sequence == 2
	}, 4*patience, time.Millisecond)
	require.Equal(t, []string{bridge.AlarmQuota}, b.Alarms.Kinds())
}
