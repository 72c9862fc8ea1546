package gateway_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/stream/gateway"
	"github.com/hookspan/hookspan/bridge/internal/stream/streamtest"
	"github.com/hookspan/hookspan/internal/consumerstate"
	"github.com/hookspan/hookspan/internal/natstest"
)

const patience = time.Minute

// asApp is a server with one durable of the bridge, and a connection of user app.
func asApp(t *testing.T) (*streamtest.Bench, jetstream.JetStream) {
	t.Helper()
	cfg := streamtest.Config()
	cfg.Listen = "127.0.0.1:0"
	b := streamtest.Start(t, cfg)
	_, err := b.JS.CreateConsumer(t.Context(), "HOOKSPAN_EVENTS", jetstream.ConsumerConfig{
		Durable: "ours", AckPolicy: jetstream.AckExplicitPolicy, Metadata: map[string]string{consumerstate.MetadataKind: "pull"},
	})
	require.NoError(t, err)
	return b, b.App()
}

func named(name string) jetstream.ConsumerConfig {
	return jetstream.ConsumerConfig{Durable: name, AckPolicy: jetstream.AckExplicitPolicy, FilterSubject: "hookspan.events.>"}
}

// User app makes, changes and reads durables as if it called JetStream itself.
func TestAppMakesDurables(t *testing.T) {
	t.Parallel()
	b, js := asApp(t)
	ctx := t.Context()
	cfg := named("mine")
	_, err := js.CreateConsumer(ctx, "HOOKSPAN_EVENTS", cfg)
	require.NoError(t, err)
	cfg.MaxAckPending = 7
	_, err = js.CreateConsumer(ctx, "HOOKSPAN_EVENTS", cfg)
	require.ErrorIs(t, err, jetstream.ErrConsumerExists, "JetStream's own answer")
	c, err := js.UpdateConsumer(ctx, "HOOKSPAN_EVENTS", cfg)
	require.NoError(t, err)
	require.Equal(t, 7, c.CachedInfo().Config.MaxAckPending)
	_, err = js.CreateConsumer(ctx, "HOOKSPAN_EVENTS", jetstream.ConsumerConfig{Name: "brief", FilterSubjects: []string{"hookspan.events.a.>", "hookspan.events.b.>"}})
	require.NoError(t, err)
	_, err = b.Publisher().Publish(ctx, natstest.Event("pred_1"))
	require.NoError(t, err)
	m, err := c.Next()
	require.NoError(t, err)
	require.NoError(t, m.DoubleAck(ctx))
}

// Whatever user app makes, the bridge can make its own durables.
func TestDurablesOfOthersLeaveRoom(t *testing.T) {
	t.Parallel()
	b, js := asApp(t)
	ctx := t.Context()
	for n := 1; n < gateway.OthersMost; n++ {
		_, err := b.JS.CreateConsumer(ctx, "HOOKSPAN_EVENTS", named(fmt.Sprint("earlier", n)))
		require.NoError(t, err)
	}
	_, err := js.CreateConsumer(ctx, "HOOKSPAN_EVENTS", named("one-more"))
	var api *jetstream.APIError
	require.ErrorAs(t, err, &api)
	require.EqualValues(t, 10026, api.ErrorCode)
	require.Equal(t, []string{bridge.AlarmQuota}, b.Alarms.Kinds())
	_, err = js.UpdateConsumer(ctx, "HOOKSPAN_EVENTS", named("earlier1"))
	require.NoError(t, err, "what is there can be changed")
	_, err = b.JS.CreateConsumer(ctx, "HOOKSPAN_EVENTS", named("ours-too"))
	require.NoError(t, err)
}

// A program that makes durables without end uses up only its own quota.
func TestDurablesOfOthersHaveARate(t *testing.T) {
	t.Parallel()
	b, js := asApp(t)
	const loops = 8 // faster than the quota recovers
	ended := make(chan error, loops)
	for range loops {
		go func() {
			var err error
			for err == nil {
				_, err = js.CreateOrUpdateConsumer(t.Context(), "HOOKSPAN_EVENTS", named("mine"))
			}
			ended <- err
		}()
	}
	for range loops {
		var api *jetstream.APIError
		require.ErrorAs(t, <-ended, &api)
		require.Equal(t, 503, api.Code)
	}
	require.Equal(t, []string{bridge.AlarmQuota}, b.Alarms.Kinds())
	_, err := b.App().CreateConsumer(t.Context(), "HOOKSPAN_EVENTS", named("of-another"))
	require.NoError(t, err)
}

// Forbidden durables are refused with a reason, and without effect.
func TestDurablesThatAreRefused(t *testing.T) {
	t.Parallel()
	b, js := asApp(t)
	for body, want := range map[string]string{
		`{"config":{"durable_name":"mine","deliver_subject":"hookspan.watch.get3w","ack_policy":"explicit"}}`: "deliver_subject",
		`{"config":{"durable_name":"mine","metadata":{"hookspan-kind":"pull"}}}`:                              "for durables of the bridge",
		`{"config":{"durable_name":"other","ack_policy":"explicit"}}`:                                         "name",
		`{"config":{"durable_name":"mine","ack_wait":999999999,"ack_policy":"explicit"}}`:                     "at least 1s",
		`{"config":{"durable_name":"mine","backoff":[1000000000,1000],"ack_policy":"explicit"}}`:              "at least 1s",
		`[`: "JSON",
		`{"pad":"` + strings.Repeat("x", 70_000) + `"}`: "at most 65536",
		``: "JSON",
	} {
		require.Contains(t, ask(t, js, "mine", body).Error.Description, want, body)
	}
	require.Contains(t, ask(t, js, "ours", `{"stream_name":"HOOKSPAN_EVENTS","config":{"durable_name":"ours","ack_policy":"explicit"}}`).Error.Description, "somebody else's")
	for _, name := range []string{bridge.PredictionsConsumer, "a*b", "a/b"} {
		require.Equal(t, 400, ask(t, js, name, `{"config":{}}`).Error.Code, name)
	}
	brief, err := b.JS.CreateConsumer(t.Context(), "HOOKSPAN_EVENTS", jetstream.ConsumerConfig{})
	require.NoError(t, err)
	name := brief.CachedInfo().Name
	body := `{"stream_name":"HOOKSPAN_EVENTS","config":{"name":"` + name + `","filter_subject":"nothing"},"action":"update"}`
	require.Contains(t, ask(t, js, name, body).Error.Description, "somebody else's")
	stream, err := b.JS.Stream(t.Context(), "HOOKSPAN_EVENTS")
	require.NoError(t, err)
	require.Equal(t, 2, stream.CachedInfo().State.Consumers)
}

func ask(t *testing.T, js jetstream.JetStream, name, body string) (answer struct{ Error *jetstream.APIError }) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	m, err := js.Conn().RequestWithContext(ctx, "$JS.API.CONSUMER.CREATE.HOOKSPAN_EVENTS."+name, []byte(body))
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(m.Data, &answer))
	require.NotNil(t, answer.Error, "%s", m.Data)
	return answer
}
