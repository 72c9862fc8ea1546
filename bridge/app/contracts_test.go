package app

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/contracts/contractstest"
	"github.com/hookspan/hookspan/bridge/internal/source"
	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/signing"
)

// What a bridge really publishes is as the document says: each message is on a subject of one
// channel, has no header that the channel does not name, and its payload is as its schema says.
func TestWhatIsPublishedIsAsDocumented(t *testing.T) {
	contract := contractstest.New(t)
	files, picture := newProvider(t)
	require.NotEmpty(t, picture)
	provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"id":"pod_1","status":"COMPLETED","output":"done"}`))
	}))
	defer provider.Close()
	const standardSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	secret := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(secret, []byte(standardSecret), 0o600))
	dir := t.TempDir()
	a, err := newTestApp(t, dir, strings.NewReplacer(
		"{kind: archive}", "{kind: archive, hosts: [127.0.0.1], allow_private: true}",
		"command: [/bin/true]}", `command: [/bin/sh, -c, "exit 65"], filter: {status: failed}}, team: {kind: pull, filter: {status: completed}, start: all}`,
	).Replace(freePorts)+`
sources:
  get3w: {secrets: [env:GET3W_WEBHOOK_SECRET], query: [ref]}
  other: {kind: replicate, secrets: ["file:`+secret+`"]}
  pod: {kind: runpod, api: {key: env:GET3W_WEBHOOK_SECRET, base_url: "`+provider.URL+`"}}
`)
	require.NoError(t, err)
	require.NoError(t, a.Start(t.Context()))
	defer func() { require.NoError(t, a.Stop()) }()

	heard := listen(t, a)
	post := func(path, body string, header http.Header) int {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, strings.TrimSuffix(a.Ready().Webhooks["get3w"], "get3w")+path, strings.NewReader(body))
		require.NoError(t, err)
		maps.Copy(req.Header, header)
		res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		return res.StatusCode
	}
	signed := func(body string) http.Header {
		return http.Header{
			signing.Header: {signing.Sign([]byte(body), []byte(sampleSecret))}, "Content-Type": {"application/cloudevents+json"}, "X-Sent": {"a", "b"},
			"Traceparent": {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
		}
	}
	body := `{"id":"pred é","status":"completed","model":"google/nano banana","outputs":["` + files + `/a.png","` + files + `/gone"],"completed_at":"` + time.Now().UTC().Format(time.RFC3339) + `"}`
	require.Equal(t, 200, post("get3w?ref=my+own", body, signed(body)))
	body = `{"id":"pred_2","status":"failed","error":"no"}`
	require.Equal(t, 200, post("get3w", body, signed(body)))
	body = `{"id":"pred_3","status":"odd status"}`
	require.Equal(t, 200, post("get3w", body, signed(body)))
	require.Equal(t, 200, post("get3w", "{", signed("{")), "quarantined")
	var batch sync.WaitGroup // several messages are stored together
	for n := range 20 {
		batch.Go(func() {
			body := fmt.Sprintf(`{"id":"batch_%d","status":"canceled"}`, n)
			if refused, kept := post("get3w", body, nil), post("get3w", body, signed(body)); refused != 401 || kept != 200 {
				t.Errorf("a webhook is answered %d, a signed one %d", refused, kept)
			}
		})
	}
	batch.Wait()
	require.Equal(t, 404, post("nobody", body, nil), "an alarm")
	kind, err := source.KindOf("replicate")
	require.NoError(t, err)
	for _, status := range []string{"processing", "succeeded"} {
		body = `{"id":"rep_1","status":"` + status + `","output":["hello"],"logs":"50%"}`
		proof, err := kind.Proof.Sign(source.Message{ID: "msg_" + status, At: time.Now(), Body: []byte(body)}, []byte(standardSecret))
		require.NoError(t, err)
		require.Equal(t, 200, post("other", body, http.Header(proof)))
	}
	require.Equal(t, 200, post("pod", `{"id":"pod_1","status":"COMPLETED","output":"said"}`, nil), "unconfirmed")

	status, text := answerOf(t, a, http.MethodPut, "/api/v1/predictions/get3w/pred_4", `{"tenant":"acme","model":"get3w/flux-dev"}`, func(*http.Request, *http.Response) {})
	require.Equal(t, 200, status, string(text))
	app := connectAs(t, a, dir, "")
	for request, want := range map[string]string{`{"prediction":"pred_5"}`: "stored", `{}`: "error"} {
		answer, err := app.Request("hookspan.watch.get3w", []byte(request), 30*time.Second)
		require.NoError(t, err)
		require.Contains(t, string(answer.Data), want)
		require.NoError(t, contract.CheckReply("watchAnswers", answer.Header, answer.Data))
	}
	waits(t, connectAs(t, a, dir, "team"), "team")

	heard.await(t, contract, "dead")
	var redriven adminapi.RedeliveryReport
	require.Equal(t, 200, call(t, a, "/dead/redrive", `{"consumer":"handle"}`, &redriven), "it comes again")
	heard.await(t, contract,
		"again", "alarms", "attempts", "dead", "laterBySequence", "outputsArchived", "predictionEvents", "progress", "quarantine", "refused", "unconfirmed", "watchRequests", "watchSet")
	stored := contract.RequireStored(t, a.store.consume)
	for _, channel := range []string{"again", "alarms", "dead", "outputsArchived", "predictionEvents", "quarantine", "refused", "watchSet"} {
		require.Positive(t, stored[channel], "%s: %v", channel, stored)
	}
	require.Equal(t, 200, call(t, a, "/erase", `{"source":"get3w","prediction":"pred_2"}`, &struct{}{}))
	heard.await(t, contract, "predictionErased")
	require.Positive(t, contract.RequireStored(t, a.store.consume)["predictionErased"])
}

// listener has every message of the bridge.
type listener struct {
	mu   sync.Mutex
	msgs []*nats.Msg
}

func listen(t *testing.T, a *App) *listener {
	t.Helper()
	l := &listener{}
	sub, err := a.store.publish.Conn().Subscribe("hookspan.>", func(m *nats.Msg) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.msgs = append(l.msgs, m)
	})
	require.NoError(t, err)
	t.Cleanup(func() { _ = sub.Unsubscribe() })
	return l
}

// await waits until all these channels were heard, and checks all that was.
func (l *listener) await(t *testing.T, contract *contractstest.Contract, channels ...string) {
	t.Helper()
	checked, seen := 0, map[string]bool{}
	var wrong error
	require.Eventually(t, func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		for ; checked < len(l.msgs); checked++ {
			m := l.msgs[checked]
			if guests(m.Subject) {
				continue
			}
			of, err := contract.Check(m.Subject, m.Header, m.Data)
			if err != nil {
				wrong = err
				return true
			}
			seen[of.Name] = true
		}
		for _, channel := range channels {
			if !seen[channel] {
				return false
			}
		}
		return true
	}, 2*time.Minute, 20*time.Millisecond, "%v of %v", &seen, channels)
	require.NoError(t, wrong)
}

// guests reports whether a subject is where requests of other accounts arrive on their way.
func guests(subject string) bool {
	names := bridge.Names{}
	for _, all := range []string{names.AllWaits(), names.AllCreates(), names.AllCalls(), names.AllGets()} {
		if strings.HasPrefix(subject, strings.TrimSuffix(all, ">")) {
			return true
		}
	}
	return false
}

// connectAs connects as the program of a pull consumer, or as any program.
func connectAs(t *testing.T, a *App, dir, consumer string) *nats.Conn {
	t.Helper()
	user := NATSUser(consumer)
	password, err := NATSPassword(dir, user)
	require.NoError(t, err)
	nc, err := nats.Connect(a.Ready().NATS, nats.UserInfo(user, password))
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	return nc
}

// waits has the first event of the consumer come again at once, as a program in any language does.
func waits(t *testing.T, nc *nats.Conn, consumer string) {
	t.Helper()
	js, err := jetstream.New(nc)
	require.NoError(t, err)
	names := bridge.Names{}
	durable, err := js.Consumer(t.Context(), names.EventsStream(), consumer)
	require.NoError(t, err)
	m, err := durable.Next(jetstream.FetchMaxWait(30 * time.Second))
	require.NoError(t, err)
	meta, err := m.Metadata()
	require.NoError(t, err)
	_, err = js.PublishMsg(t.Context(), &nats.Msg{
		Subject: fmt.Sprintf("hookspan.later.%s.%d", consumer, meta.Sequence.Stream), Header: m.Headers(), Data: m.Data(),
	}, jetstream.WithScheduleAt(time.Now()), jetstream.WithScheduleTarget(names.Due(consumer, m.Subject())))
	require.NoError(t, err)
	require.NoError(t, m.Ack())
}
