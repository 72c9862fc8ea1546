package exec

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/consumers"
)

// environ is the environment of the script itself, as it was started with.
const environ = `cat /proc/$$/environ >"$OUT/environ"`

func (b *bundle) environ(ev *bridge.Event) map[string]string {
	b.t.Helper()
	require.NoError(b.t, b.handle(ev))
	vars := map[string]string{}
	for v := range strings.SplitSeq(strings.TrimSuffix(b.read("environ"), "\x00"), "\x00") {
		name, value, ok := strings.Cut(v, "=")
		require.True(b.t, ok, v)
		require.NotContains(b.t, vars, name)
		vars[name] = value
	}
	require.Contains(b.t, vars["TMPDIR"], b.dir)
	delete(vars, "TMPDIR")
	return vars
}

// The environment holds what is documented, and nothing of this process.
func TestEnvironment(t *testing.T) {
	t.Setenv("GET3W_WEBHOOK_SECRET", "a-secret")
	t.Setenv("NATS_PASSWORD", "a-secret")
	b := setup(t, environ)
	ev := newEvent("pred_1")
	ev.Model, ev.ContentType, ev.TraceParent = "black-forest-labs/flux-1.1-pro", "application/json", "00-11-22-00"
	ev.Time = time.Date(2026, 1, 2, 3, 4, 5, 6, time.FixedZone("", 3600))
	ev.ReceivedAt = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	ev.Subject = "hookspan.events.get3w.prediction.completed.x"
	ev.Query = map[string]string{"ref": "a b\n'\"", "the-tenant": "1", "the_tenant": "2", "Bad": "x", "a=b": "x"}
	require.Equal(t, map[string]string{
		"PATH":                      "/usr/bin:/bin",
		"OUT":                       b.out,
		"HOOKSPAN_EVENT_ID":         ev.ID,
		"HOOKSPAN_SOURCE":           "get3w",
		"HOOKSPAN_TYPE":             "com.get3w.prediction.completed.v1",
		"HOOKSPAN_PREDICTION_ID":    "pred_1",
		"HOOKSPAN_STATUS":           "completed",
		"HOOKSPAN_MODEL":            "black-forest-labs/flux-1.1-pro",
		"HOOKSPAN_TIME":             "2026-01-02T02:04:05.000000006Z",
		"HOOKSPAN_RECEIVED_AT":      "2026-01-02T03:04:05Z",
		"HOOKSPAN_FIELDS":           "",
		"HOOKSPAN_CONTENT_TYPE":     "application/json",
		"HOOKSPAN_SUBJECT":          "hookspan.events.get3w.prediction.completed.x",
		"HOOKSPAN_CONSUMER":         "",
		"HOOKSPAN_ATTEMPT":          "1",
		"HOOKSPAN_REPEAT":           "false",
		"HOOKSPAN_IDEMPOTENCY_KEY":  ":get3w:" + ev.ID,
		"HOOKSPAN_QUERY_REF":        "a b\n'\"",
		"HOOKSPAN_QUERY_THE_TENANT": "2",
		"TRACEPARENT":               "00-11-22-00",
	}, b.environ(ev))
}

func TestEnvironmentOfAnEventWithLittle(t *testing.T) {
	t.Parallel()
	vars := setup(t, environ).environ(newEvent("pred_1"))
	require.Contains(t, vars, "HOOKSPAN_MODEL")
	require.Empty(t, vars["HOOKSPAN_MODEL"])
	require.Empty(t, vars["HOOKSPAN_TIME"])
	require.NotContains(t, vars, "TRACEPARENT")
}

// No value keeps the command from starting, or ends where its variable does not.
func TestValuesThatNoVariableCanHold(t *testing.T) {
	t.Parallel()
	b := setup(t, environ)
	ev := newEvent("a\x00b")
	ev.Model, ev.Query = "x\x00LD_PRELOAD=/evil.so\xff", map[string]string{"ref": "\x00"}
	vars := b.environ(ev)
	require.Equal(t, "a\uFFFDb", vars["HOOKSPAN_PREDICTION_ID"])
	require.Equal(t, "x\uFFFDLD_PRELOAD=/evil.so\uFFFD", vars["HOOKSPAN_MODEL"])
	require.Equal(t, "\uFFFD", vars["HOOKSPAN_QUERY_REF"])
	require.NotContains(t, vars, "LD_PRELOAD")
	require.Contains(t, vars["HOOKSPAN_IDEMPOTENCY_KEY"], "a%00b", "two ids never give one key")
}

func TestAttributesAreBounded(t *testing.T) {
	t.Parallel()
	b := setup(t, "exit 0")
	ev := newEvent("p")
	ev.Model = strings.Repeat("x", 60<<10)
	require.NoError(t, b.handle(ev))
	ev.Model = strings.Repeat("x", maxAttributes)
	err := b.handle(ev)
	require.True(t, consumers.IsPermanent(err))
	require.ErrorContains(t, err, "the attributes of the event have")
}
