package admin_test

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"
	v3 "github.com/pb33f/libopenapi/datamodel/high/v3"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/admin"
)

// panicking is behind every route a part whose calls panic.
func panicking(api *echo.Group) {
	admin.RegisterJobs(api, struct{ admin.Jobs }{})
	admin.RegisterQuarantine(api, struct{ admin.Quarantine }{})
	admin.RegisterConsumers(api, struct{ admin.Consumers }{})
	admin.RegisterDeadLetters(api, struct{ admin.DeadLetters }{})
	admin.RegisterEvents(api, struct{ admin.Events }{})
	admin.RegisterSubmit(api, struct{ admin.Submitter }{})
	admin.RegisterCaller(api)
	admin.RegisterNames(api, nil)
	admin.RegisterSources(api, nil)
	admin.RegisterJournal(api, struct{ journal }{})
	admin.RegisterPredictions(api, struct{ admin.Predictions }{}, told{}, struct{ admin.Announcer }{})
	admin.RegisterPoll(api, struct{ admin.Predictions }{}, struct{ admin.Poller }{})
	admin.RegisterTestEvents(api, nil)
	admin.RegisterOutputs(api, struct{ admin.Predictions }{}, struct{ admin.Outputs }{}, zap.NewNop())
	admin.RegisterFigures(api, struct{ admin.Figures }{})
	admin.RegisterErase(api, struct{ admin.Eraser }{})
	admin.RegisterView(api, struct{ admin.View }{})
	admin.RegisterAudit(api, struct{ admin.Audit }{})
	admin.RegisterLive(api, struct{ admin.Live }{})
	admin.RegisterDoctor(api, struct{ doctor }{})
	admin.RegisterConfig(api, nil)
	admin.RegisterBackup(api, nil)
}

// journal and doctor embed parts that have a method of their own name.
type (
	journal = admin.Journal
	doctor  = admin.Doctor
)

// told tells a state, whose reader panics: elsewhere than in its request a panic would end the
// tests.
type told struct{ admin.Waiting }

func (told) Follow(_ context.Context, source, id string, each func(bridge.PredictionUpdate) error) error {
	return each(bridge.PredictionUpdate{State: &bridge.PredictionState{Source: source, ID: id}})
}

// orderly are bodies of calls that take more than {}, by operation.
var orderly = map[string]string{
	"addConsumer": `{"name":"team"}`, "seekConsumer": `{"new":true}`, "dropDeadLetters": `{"consumer":"a"}`, "redriveDeadLetters": `{"consumer":"a"}`,
	"erase": `{"source":"get3w","prediction":"a"}`, "replayEvents": `{"consumer":"a"}`, "startJob": `{"kind":"redrive","consumer":"a"}`,
	"poll": `{"source":"get3w","prediction":"a"}`, "sendTestEvent": `{"source":"get3w"}`,
	"acceptQuarantine": `{"seqs":[1]}`, "dropQuarantine": `{"stream":"refused"}`,
}

// Whatever is documented as an answer of all routes is the answer of each: without a token, with
// too many wrong ones, under another name, too early, with a token in the address, with too large
// a body, with one that is no JSON, and when its part is at fault.
func TestEachRouteHasTheErrorsOfAll(t *testing.T) {
	d := http.DefaultClient.Transport.(*documented)
	for path, item := range d.model.Paths.PathItems.FromOldest() {
		for method, op := range item.GetOperations().FromOldest() {
			requireCommonErrors(t, strings.ToUpper(method), path, op)
		}
	}
}

// silent is a prediction that nobody knows.
type silent struct {
	admin.Predictions
	admin.Waiting
}

func (silent) Prediction(context.Context, string, string) (*bridge.PredictionState, error) {
	return nil, bridge.ErrNotFound
}

func (silent) Find(context.Context, string, string) (*bridge.PredictionState, error) {
	return nil, bridge.ErrNotFound
}

func (silent) Follow(ctx context.Context, _, _ string, _ func(bridge.PredictionUpdate) error) error {
	<-ctx.Done()
	return ctx.Err()
}

// Who follows a prediction that stays unknown is told so, and does not wait for ever.
func TestFollowingAnUnknownPredictionEnds(t *testing.T) {
	t.Parallel()
	s := start(t, "127.0.0.1:0")
	s.SetAPI(func(api *echo.Group) { admin.RegisterPredictions(api, silent{}, silent{}, nil) })
	require.Equal(t, 404, get(t, s, "/api/v1/predictions/get3w/nobody/events").status)
}

// Few scrapes are gathered at once; one too many is told to come again.
func TestScrapesAreBounded(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	hanging := prometheus.NewRegistry()
	hanging.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "hanging"}, func() float64 { <-release; return 0 }))
	s, err := admin.New(admin.Config{Listen: "127.0.0.1:0"}, admin.Deps{Metrics: hanging}, zap.NewNop())
	require.NoError(t, err)
	run(t, s)
	const many = 50
	answers := make(chan int, many)
	for range many {
		go func() {
			res, err := http.Get("http://" + s.Addr().String() + "/metrics")
			if err != nil {
				answers <- 0
				return
			}
			_ = res.Body.Close()
			answers <- res.StatusCode
		}()
	}
	require.Equal(t, 503, <-answers, "the others hang")
	close(release)
	for range many - 1 {
		<-answers
	}
}

func requireCommonErrors(t *testing.T, method, path string, op *v3.Operation) {
	t.Helper()
	path = strings.NewReplacer("{name}", "team", "{seq}", "1", "{stream}", "quarantine", "{source}", "get3w", "{n}", "0", "jobs/{id}", "jobs/"+strings.Repeat("a", 26), "{id}", "pred_1").Replace(path)
	body, header := "", map[string]string{}
	if method != http.MethodGet && method != http.MethodHead {
		if body, header = orderly[op.OperationId], asJSON; body == "" {
			body = "{}"
		}
	}
	s, err := admin.New(admin.Config{Listen: "127.0.0.1:0"}, admin.Deps{Metrics: prometheus.NewRegistry()}, zap.NewNop())
	require.NoError(t, err)
	run(t, s)
	guarded := guarded(t, "127.0.0.1:0", nil)
	guarded.SetAPI(panicking)
	for _, c := range []struct {
		status string
		server *admin.Server
		path   string
		body   string
		header map[string]string
	}{
		{"503", s, path, body, header},
		{"403", s, path, body, map[string]string{"Host": "evil.example", "Content-Type": header["Content-Type"]}},
		{"400", s, path + "?token=x", body, header},
		{"415", s, path, body, map[string]string{"Content-Type": "text/plain"}},
		{"413", s, path, strings.Repeat(" ", 1<<20+1), header},
		{"500", s, path, body, header},
		{"401", guarded, path, body, header},
		{"429", guarded, path, body, map[string]string{"Authorization": "Bearer guessed-token-0123456789", "Content-Type": header["Content-Type"]}},
	} {
		if c.status != "503" {
			s.SetAPI(panicking)
		}
		if _, documented := op.Responses.Codes.Get(c.status); !documented || !strings.HasPrefix(path, "/api/") && c.status != "403" {
			continue
		}
		got := do(t, c.server, method, c.path, c.body, c.header)
		for range 20 { // wrong tokens are counted first
			if c.status == "429" && got.status == http.StatusUnauthorized {
				got = do(t, c.server, method, c.path, c.body, c.header)
			}
		}
		if strconv.Itoa(got.status) != c.status {
			t.Errorf("%s %s is answered %d, not %s: %s", method, path, got.status, c.status, got.body)
		}
	}
}
