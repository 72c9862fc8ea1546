package ingress

import (
	"cmp"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/source"
	"github.com/hookspan/hookspan/internal/signing"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	secret = "a-secret-that-must-not-be-seen"
	token  = "path-token-that-must-not-be-seen"
)

// publisher stands for the queue: it keeps events and answers what a test says, also after
// it has kept the event.
type publisher struct {
	mu     sync.Mutex
	events []*bridge.Event
	answer func(ctx context.Context, e *bridge.Event) (bridge.Receipt, error)
}

func (p *publisher) Publish(ctx context.Context, e *bridge.Event) (bridge.Receipt, error) {
	p.mu.Lock()
	p.events = append(p.events, e)
	p.mu.Unlock()
	if p.answer != nil {
		return p.answer(ctx, e)
	}
	return bridge.Receipt{Result: bridge.Stored, Stream: "HOOKSPAN_EVENTS", Sequence: 1}, nil
}

func (p *publisher) published() []*bridge.Event {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]*bridge.Event(nil), p.events...)
}

// keeper stands for the quarantine and the ring: it keeps deliveries and answers what a
// test says.
type keeper struct {
	mu      sync.Mutex
	kept    []*bridge.KeptDelivery
	refused []*bridge.KeptDelivery
	alarms  []bridge.Alarm
	answer  func(ctx context.Context, w *bridge.KeptDelivery) (bridge.Receipt, error)
}

func (k *keeper) Keep(ctx context.Context, w *bridge.KeptDelivery) (bridge.Receipt, error) {
	k.mu.Lock()
	k.kept = append(k.kept, w)
	k.mu.Unlock()
	if k.answer != nil {
		return k.answer(ctx, w)
	}
	return bridge.Receipt{Result: bridge.Quarantined, Stream: "HOOKSPAN_QUARANTINE", Sequence: 1}, nil
}

func (k *keeper) Offer(w *bridge.KeptDelivery, diagnose func(*bridge.KeptDelivery)) {
	if diagnose != nil {
		diagnose(w)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.refused = append(k.refused, w)
}

func (k *keeper) Raise(a bridge.Alarm) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.alarms = append(k.alarms, a)
}

// all returns the quarantined and the refused deliveries.
func (k *keeper) all() (kept, refused []*bridge.KeptDelivery) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return append([]*bridge.KeptDelivery(nil), k.kept...), append([]*bridge.KeptDelivery(nil), k.refused...)
}

func deps(p *publisher, k *keeper) Deps {
	return Deps{Publisher: p, Quarantine: k, Refused: k, Alarms: k}
}

type bench struct {
	*Server
	url  string
	pub  *publisher
	keep *keeper
	logs *observer.ObservedLogs
	stop func() error
}

// maxDeadline is the longest configurable deadline.
const maxDeadline = 25 * time.Second

// standard is the default configuration on a free port.
var standard = Config{
	Listen: "127.0.0.1:0", Deadline: 5 * time.Second, MaxBody: 4 << 20, MaxInFlight: 4096, MaxInFlightBytes: 256 << 20,
	MaxConnections: 10_000, IdleTimeout: 620 * time.Second,
}

// complete fills cfg with the standard.
func complete(cfg Config) Config {
	cfg.Listen = cmp.Or(cfg.Listen, standard.Listen)
	cfg.Deadline = cmp.Or(cfg.Deadline, standard.Deadline)
	cfg.MaxBody = cmp.Or(cfg.MaxBody, standard.MaxBody)
	cfg.MaxInFlight = cmp.Or(cfg.MaxInFlight, standard.MaxInFlight)
	cfg.MaxInFlightBytes = cmp.Or(cfg.MaxInFlightBytes, standard.MaxInFlightBytes)
	cfg.MaxConnections = cmp.Or(cfg.MaxConnections, standard.MaxConnections)
	cfg.IdleTimeout = cmp.Or(cfg.IdleTimeout, standard.IdleTimeout)
	return cfg
}

// start runs a server on a free port with the sources get3w, guarded (with a path token)
// and mute (without a secret).
func start(t testing.TB, cfg Config) *bench {
	t.Helper()
	core, logs := observer.New(zap.DebugLevel)
	b := &bench{pub: &publisher{}, keep: &keeper{}, logs: logs}
	var routes []Route
	for _, r := range []struct {
		name, secret, token string
		query               []string
	}{
		{name: "get3w", secret: secret, query: []string{"ref", "tenant"}},
		{name: "guarded", secret: secret, token: token},
		{name: "mute"},
	} {
		src, err := source.New(source.Config{Name: r.name, Kind: "get3w", Secrets: [][]byte{[]byte(r.secret)}, MaxAge: time.Hour})
		require.NoError(t, err)
		routes = append(routes, Route{Source: src, PathToken: []byte(r.token), Query: r.query})
	}
	var err error
	b.Server, err = New(complete(cfg), routes, deps(b.pub, b.keep), zap.New(core))
	require.NoError(t, err)
	b.url = "http://" + b.Addr().String()
	if cfg.TLSCert != "" {
		b.url = "https://" + b.Addr().String()
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	b.stop = sync.OnceValue(func() error {
		cancel()
		return <-done
	})
	t.Cleanup(func() {
		require.NoError(t, b.stop())
		http.DefaultClient.CloseIdleConnections()
		for _, entry := range logs.All() {
			text, err := json.Marshal(entry.ContextMap())
			require.NoError(t, err)
			require.NotContains(t, string(text)+entry.Message, secret)
			require.NotContains(t, string(text)+entry.Message, token)
		}
		kept, refused := b.keep.all()
		for _, w := range append(kept, refused...) {
			text, err := json.Marshal(w)
			require.NoError(t, err)
			require.NotContains(t, string(text), secret)
			require.NotContains(t, string(text), token)
		}
	})
	return b
}

func body(id string) string {
	return `{"id":"` + id + `","model":"get3w/flux-dev","status":"completed","outputs":["https://cdn.get3w.com/x.png"]}`
}

// request is an acceptable delivery.
func request(t testing.TB, url, body string) *http.Request {
	t.Helper()
	r, err := http.NewRequest(http.MethodPost, url, strings.NewReader(body))
	require.NoError(t, err)
	r.Header.Set("Content-Type", "application/json")
	sign(t, r.Header, body)
	return r
}

func sign(t testing.TB, h http.Header, body string) {
	t.Helper()
	h.Set(signing.Header, signing.Sign([]byte(body), []byte(secret)))
}

type response struct {
	status int
	header http.Header
	text   string
	json   map[string]any
	close  bool // no other request may follow
}

func do(t testing.TB, r *http.Request) response {
	t.Helper()
	res, err := http.DefaultTransport.RoundTrip(r)
	require.NoError(t, err)
	return read(t, res)
}

func read(t testing.TB, res *http.Response) response {
	t.Helper()
	text, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	out := response{status: res.StatusCode, header: res.Header, text: string(text), close: res.Close}
	if strings.HasSuffix(res.Header.Get("Content-Type"), "json") {
		require.NoError(t, json.Unmarshal(text, &out.json))
	}
	return out
}

// logged waits for the access lines of n requests and returns the last.
func (b *bench) logged(t testing.TB, n int) map[string]any {
	t.Helper()
	require.NoError(t, b.stop()) // Run returns after the lines are written
	lines := b.logs.FilterMessage("request").All()
	require.Len(t, lines, n)
	return lines[n-1].ContextMap()
}

func TestStored(t *testing.T) {
	t.Parallel()
	b := start(t, Config{})
	before := time.Now()
	r := request(t, b.url+"/webhooks/get3w?ref=order%207&tenant=%C3%A9&other=x&ref=second", body("pred_1"))
	r.Header.Set("Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	res := do(t, r)
	require.Equal(t, http.StatusOK, res.status)
	require.Equal(t, "stored", res.json["result"])
	require.NotEmpty(t, res.header.Get("X-Request-Id"))

	events := b.pub.published()
	require.Len(t, events, 1)
	e := events[0]
	require.Equal(t, e.ID, res.json["id"])
	require.Equal(t, body("pred_1"), string(e.Body))
	require.Equal(t, "application/json", e.ContentType)
	require.Equal(t, r.Header.Get("X-Get3w-Signature"), e.Signature)
	require.Equal(t, map[string]string{"ref": "order 7", "tenant": "é"}, e.Query)
	require.Equal(t, bridge.OriginWebhook, e.Origin)
	require.WithinRange(t, e.ReceivedAt, before, time.Now())
	require.Regexp(t, `^00-0af7651916cd43dd8448eb211c80319c-[0-9a-f]{16}-01$`, e.TraceParent)
	require.NotContains(t, e.TraceParent, "b7ad6b7169203331")

	line := b.logged(t, 1)
	require.Equal(t, "stored", line["result"])
	require.Equal(t, e.ID, line["event"])
	require.Equal(t, "get3w", line["source"])
	require.EqualValues(t, 200, line["status"])
	require.Equal(t, res.header.Get("X-Request-Id"), line["request_id"])
}

func TestNewTraceWithoutOne(t *testing.T) {
	t.Parallel()
	b := start(t, Config{})
	r := request(t, b.url+"/webhooks/get3w/", body("pred_1"))
	r.Header.Set("Traceparent", "00-zz-b7ad6b7169203331-01")
	require.Equal(t, http.StatusOK, do(t, r).status)
	require.Regexp(t, `^00-[0-9a-f]{32}-[0-9a-f]{16}-00$`, b.pub.published()[0].TraceParent)
}

func TestDuplicate(t *testing.T) {
	t.Parallel()
	b := start(t, Config{})
	b.pub.answer = func(context.Context, *bridge.Event) (bridge.Receipt, error) {
		return bridge.Receipt{Result: bridge.Duplicate}, nil
	}
	res := do(t, request(t, b.url+"/webhooks/get3w", body("pred_1")))
	require.Equal(t, http.StatusOK, res.status)
	require.Equal(t, "duplicate", res.json["result"])
}

func TestPathToken(t *testing.T) {
	t.Parallel()
	b := start(t, Config{})
	for path, want := range map[string]int{
		"/webhooks/guarded/" + token:            200,
		"/webhooks/guarded/" + token + "/":      200,
		"/webhooks/guarded/" + token + "x":      401,
		"/webhooks/guarded/":                    401,
		"/webhooks/guarded":                     401,
		"/webhooks/get3w/" + token:              404,
		"/webhooks/get3w/" + token + "/further": 404,
	} {
		require.Equal(t, want, do(t, request(t, b.url+path, body("pred_1"))).status, path)
	}
}

func TestShutdownFinishesWhatIsInFlight(t *testing.T) {
	t.Parallel()
	b := start(t, Config{})
	entered, finish := make(chan struct{}), make(chan struct{})
	b.pub.answer = func(context.Context, *bridge.Event) (bridge.Receipt, error) {
		close(entered)
		<-finish
		return bridge.Receipt{Result: bridge.Stored}, nil
	}
	answered := make(chan int, 1)
	r := request(t, b.url+"/webhooks/get3w", body("pred_1"))
	go func() {
		res, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			answered <- 0
			return
		}
		_ = res.Body.Close()
		answered <- res.StatusCode
	}()
	<-entered
	stopped := make(chan error, 1)
	go func() { stopped <- b.stop() }()
	select {
	case err := <-stopped:
		t.Fatal("it stopped with a request in flight", err)
	case <-b.refused(t):
	}
	close(finish)
	require.NoError(t, <-stopped)
	require.Equal(t, 200, <-answered)
}
