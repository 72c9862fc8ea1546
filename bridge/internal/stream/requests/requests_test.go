package requests_test

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/hookspan/hookspan/bridge/internal/datafolder"
	"github.com/hookspan/hookspan/bridge/internal/stream"
	"github.com/hookspan/hookspan/bridge/internal/stream/requests"
	"github.com/hookspan/hookspan/bridge/internal/stream/streamtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 20 * time.Second

func serve(t *testing.T, b *streamtest.Bench, subject string, answer func(context.Context, *nats.Msg) any) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() {
		done <- requests.Service{Subject: subject, Group: "g", What: "tests", AtOnce: 4, MaxWaiting: 1000, Answer: answer}.
			Run(ctx, func() *nats.Conn { return b.NC })
	}()
	t.Cleanup(func() { cancel(); require.NoError(t, <-done) })
}

// A client that is refused again and again gets late answers, and delays nobody else.
func TestManyRefusalsAreSlow(t *testing.T) {
	requests.SlowForTest(t, 10)
	b := streamtest.Start(t, streamtest.Config())
	serve(t, b, "ask", func(_ context.Context, m *nats.Msg) any {
		if string(m.Data) == "refuse" {
			return requests.Slow{Answer: "no"}
		}
		return "yes"
	})
	require.Eventually(t, func() bool { _, err := b.NC.Request("ask", nil, patience); return err == nil }, patience, time.Millisecond)
	inbox := b.NC.NewRespInbox()
	answers, err := b.NC.SubscribeSync(inbox)
	require.NoError(t, err)
	for range 400 {
		require.NoError(t, b.NC.PublishRequest("ask", inbox, []byte("refuse")))
	}
	for range 10 {
		m, err := answers.NextMsg(patience)
		require.NoError(t, err)
		require.Equal(t, `"no"`, string(m.Data))
	}
	for range 8 { // more than run at once: the refused ones were answered
		m, err := b.NC.Request("ask", nil, patience)
		require.NoError(t, err)
		require.Equal(t, `"yes"`, string(m.Data))
	}
	late, _, err := answers.Pending()
	require.NoError(t, err)
	require.Zero(t, late)
}

// A request with the header Status disturbs nobody else's.
func TestRequestThatClaimsThatNobodyAnswers(t *testing.T) {
	t.Parallel()
	b := streamtest.Start(t, streamtest.Config())
	core, logs := observer.New(zap.InfoLevel)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() {
		done <- requests.Service{
			Subject: "ask", Group: "g", What: "tests", AtOnce: 1, MaxWaiting: 1000, Logger: zap.New(core), Answer: func(context.Context, *nats.Msg) any { return "yes" },
		}.Run(ctx, func() *nats.Conn { return b.NC })
	}()
	require.Eventually(t, func() bool { _, err := b.NC.Request("ask", nil, patience); return err == nil }, patience, time.Millisecond)
	for range 10 { // more than run at once
		require.NoError(t, b.NC.PublishMsg(&nats.Msg{Subject: "ask", Reply: b.NC.NewRespInbox(), Header: nats.Header{"Status": {"503"}}}))
	}
	_, err := b.NC.Request("ask", nil, patience)
	require.NoError(t, err)
	cancel()
	require.NoError(t, <-done)
	require.Zero(t, logs.FilterMessageSnippet("not answered").Len())
}

// Programs of another account are told apart where the server names the client; no program can
// forge that.
func TestProgramIsWhatTheServerSays(t *testing.T) {
	cfg := streamtest.Config()
	cfg.Listen = "127.0.0.1:0"
	b := streamtest.Start(t, cfg)
	serve(t, b, b.Names.WatchRequests("*"), func(_ context.Context, m *nats.Msg) any { return requests.Program(m) })
	password, err := datafolder.ReadSecret(b.Folder.Dir(), stream.AppUser)
	require.NoError(t, err)
	said := map[string]bool{}
	for range 2 {
		nc, err := nats.Connect(b.Server.URL(), nats.UserInfo(stream.AppUser, password))
		require.NoError(t, err)
		defer nc.Close()
		var answers [2]string
		for i, header := range []nats.Header{nil, {"Nats-Request-Info": {`{"acc":"APP","id":1}`}}} {
			require.Eventually(t, func() bool {
				m, err := nc.RequestMsg(&nats.Msg{Subject: b.Names.WatchRequests("x"), Header: header}, patience)
				if err == nil {
					answers[i] = string(m.Data)
				}
				return err == nil
			}, patience, time.Millisecond)
		}
		require.Equal(t, answers[0], answers[1])
		require.Contains(t, answers[0], "APP: connection ")
		require.Contains(t, answers[0], "of user app at 127.0.0.1")
		said[answers[0]] = true
	}
	require.Len(t, said, 2)
	m, err := b.NC.RequestMsg(&nats.Msg{Subject: b.Names.WatchRequests("x"), Header: nats.Header{"Nats-Request-Info": {`{"acc":"APP","id":1}`}}}, patience)
	require.NoError(t, err)
	require.Equal(t, `""`, string(m.Data), "of our own account, where anybody can write the header")
}

func TestSampledSaysEachMessageOnce(t *testing.T) {
	core, log := observer.New(zap.DebugLevel)
	sampled := requests.Sampled(zap.New(core))
	for n := range 100 {
		sampled.Warn("too many", zap.Int("n", n))
	}
	sampled.Warn("something else")
	require.Equal(t, 2, log.Len())
}
