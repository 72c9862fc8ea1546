package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/adminapi"
)

// nasty is what somebody outside writes to act on a terminal, to begin a line of their
// own, or to hide.
const nasty = "x\nFAKE\r\t\x00\x1b[2J\x7f\u0085\u009b2J\u00ad\u061c\u200b\u200e\u200f\u2028\u2029\u202a\u202e\u2066\u2069\ufeff\U000e0041y"

// fill has every text of a value be nasty, and everything else be there.
func fill(v reflect.Value) {
	if v.Type() == reflect.TypeFor[time.Time]() {
		v.Set(reflect.ValueOf(time.Date(2026, 1, 31, 0, 0, 0, 0, time.UTC)))
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(nasty)
	case reflect.Int, reflect.Int64:
		v.SetInt(2)
	case reflect.Uint64:
		v.SetUint(2)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		if v.Type().Elem().Kind() != reflect.Uint8 {
			fill(v.Index(0))
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(key)
		fill(value)
		v.SetMapIndex(key, value)
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() || v.Type().Field(i).Anonymous && v.Field(i).CanSet() {
				fill(v.Field(i))
			}
		}
	default:
	}
}

func filled[T any]() *T {
	var v T
	fill(reflect.ValueOf(&v).Elem())
	return &v
}

// nastyAPI answers every call with what somebody outside has written.
func nastyAPI(t *testing.T) string {
	plain := "a body"
	event, letter, delivery := filled[adminapi.EventDetail](), filled[adminapi.DeadLetterDetail](), filled[adminapi.KeptDetail]()
	event.Content, letter.Content, delivery.Content = adminapi.Content{Body: &plain}, adminapi.Content{Body: &plain}, adminapi.Content{Body: &plain}
	redelivery, kept := filled[adminapi.RedeliveryReport](), filled[adminapi.KeptReport]()
	erased := filled[adminapi.EraseReport]()
	redelivery.More, kept.More = false, false
	routes := map[string]any{
		"GET /events": filled[adminapi.EventList](), "GET /events/1": event, "POST /events/replay": redelivery,
		"GET /dead": filled[adminapi.DeadLetterList](), "GET /dead/groups": filled[adminapi.DeadGroupList](), "GET /alarms": filled[adminapi.AlarmList](), "GET /dead/1": letter, "POST /dead/redrive": redelivery, "POST /dead/drop": redelivery,
		"GET /quarantine": filled[adminapi.KeptList](), "GET /quarantine/refused/1": delivery, "POST /quarantine/reverify": kept, "POST /quarantine/drop": kept,
		"GET /consumers": filled[adminapi.ConsumerList](), "POST /consumers": filled[adminapi.ConsumerState](),
		"POST /consumers/x/pause": filled[adminapi.ConsumerState](), "POST /consumers/x/resume": filled[adminapi.ConsumerState](),
		"POST /consumers/x/seek": filled[adminapi.ConsumerSeek](), "POST /consumers/x/remove": filled[adminapi.RemovedConsumer](),
		"GET /predictions": filled[adminapi.PredictionList](), "GET /predictions/get3w/x": filled[bridge.PredictionState](), "PUT /predictions/get3w/x": filled[bridge.Watched](),
		"GET /view": filled[adminapi.ViewStatus](), "POST /view/rebuild": filled[adminapi.Rebuilding](),
		"POST /erase": erased,
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer, ok := routes[r.Method+" "+strings.TrimPrefix(r.URL.Path, apiPath)]
		if !ok {
			w.WriteHeader(http.StatusConflict)
			answer = map[string]string{"detail": nasty}
		}
		_ = json.NewEncoder(w).Encode(answer)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// Nothing that comes from outside writes to a terminal, whichever verb prints it, and in
// an error too.
func TestForeignTextIsEscaped(t *testing.T) {
	t.Parallel()
	api := nastyAPI(t)
	for _, verb := range []string{
		"events list", "events show 1", "events replay --consumer x --yes", "dead list", "dead groups", "alarms", "dead show 1", "dead redrive --seq 1", "dead drop --seq 1 --yes",
		"quarantine list", "quarantine show refused 1", "quarantine reverify", "quarantine drop --stream refused --yes",
		"consumers list", "consumers add x", "consumers pause x", "consumers resume x", "consumers seek x --first --yes", "consumers remove x --yes",
		"predictions list", "predictions show x", "predictions await x", "predictions watch x", "predictions poll x", "view status", "view rebuild", "erase x --yes",
		"consumers pause other", "events show 2", "predictions show other", // errors
	} {
		for _, form := range []string{"--json=false", "--json"} {
			_, stdout, stderr := runVerb(append(strings.Fields(verb), "--api", api, form)...)
			for _, text := range []string{stdout, stderr} {
				for _, r := range text {
					require.True(t, r == '\n' || unicode.IsPrint(r), "%s %s prints %U: %q", verb, form, r, text)
				}
				require.NotContains(t, text, "\nFAKE", verb)
			}
			require.NotEmpty(t, stdout+stderr, verb)
		}
	}
	_, stdout, _ := runVerb("events", "list", "--api", api)
	require.Contains(t, stdout, `x\nFAKE\r\t\u0000\u001b[2J\u007f\u0085\u009b2J`)
	_, stdout, _ = runVerb("--json", "events", "list", "--api", api)
	var list adminapi.EventList
	require.NoError(t, json.Unmarshal([]byte(stdout), &list))
	require.Equal(t, nasty, list.Events[0].Prediction, "the same when it is read")
	_, stdout, _ = runVerb("consumers", "list", "--api", api)
	require.Contains(t, stdout, `\u2028\u2029\u202a\u202e\u2066\u2069\ufeff\U000e0041y`)
}

// Lists begin with the newest, under a heading, in as many pages as are asked for.
func TestListsBeginWithTheNewest(t *testing.T) {
	t.Parallel()
	p := serveHere(t, strings.Replace(smallConfig, "archive: {enabled: false}",
		`archive: {enabled: false}, team: {kind: exec, command: ["/bin/sh", "-c", "exit 65"], start: all}`, 1))
	const n = 5
	for i := range n {
		status, _ := p.post(fmt.Sprintf(`{"id":"pred_%d","status":"failed"}`, i))
		require.Equal(t, 200, status)
		p.post(fmt.Sprintf(`{"status":"failed","n":%d}`, i))
		require.Eventually(t, func() bool { return p.state("team").Dead == uint64(i+1) }, patience, 5*time.Millisecond, p.logs)
	}
	require.Eventually(t, func() bool {
		return strings.Count(p.says("predictions", "list"), "pred_") == n
	}, patience, 20*time.Millisecond)
	for _, c := range []struct {
		args     []string
		heading  string
		contains func(i int) string
	}{
		{[]string{"events", "list"}, "SEQ ", func(i int) string { return fmt.Sprintf("pred_%d", i) }},
		{[]string{"dead", "list", "--consumer", "team"}, "SEQ ", func(i int) string { return fmt.Sprintf("pred_%d", i) }},
		{[]string{"predictions", "list"}, "FIRST SEEN ", func(i int) string { return fmt.Sprintf("pred_%d", i) }},
		{[]string{"quarantine", "list", "--stream", "quarantine"}, "STREAM ", func(i int) string { return fmt.Sprintf("quarantine  %d ", i+1) }},
	} {
		lines := strings.Split(strings.TrimSpace(p.says(c.args...)), "\n")
		require.Len(t, lines, n+1, c.args)
		require.True(t, strings.HasPrefix(lines[0], c.heading), lines[0])
		for i := range n {
			require.Contains(t, lines[i+1], c.contains(n-1-i), c.args)
		}
		// Page by page, as the last line says.
		var pages []string
		for args := append(c.args, "--limit", "2"); args != nil; {
			page := strings.Split(strings.TrimSpace(p.says(args...)), "\n")
			require.True(t, strings.HasPrefix(page[0], c.heading))
			last := page[len(page)-1]
			args = nil
			if _, rest, more := strings.Cut(last, "--cursor "); more {
				from, _, _ := strings.Cut(rest, ",")
				args, page = append(c.args, "--limit", "2", "--cursor", from), page[:len(page)-1]
			}
			pages = append(pages, page[1:]...)
		}
		require.Len(t, pages, n, c.args)
		for i := range n {
			require.Contains(t, pages[i], c.contains(n-1-i), c.args)
		}
	}
	require.Contains(t, p.says("dead", "groups"), "  5 ", "all died of the same")
	require.Contains(t, p.says("dead", "list", "--cause", "poison"), "SEQ ")
	var both adminapi.KeptList
	res, err := http.Post(p.url(), "application/json", strings.NewReader("{}"))
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Eventually(t, func() bool { p.verb(&both, "quarantine", "list"); return len(both.Entries) == n+1 }, patience, 20*time.Millisecond)
	require.Equal(t, "refused", both.Entries[0].Stream, "the newest of both streams")
}

// A body is printed byte for byte: behind its headers, and alone.
func TestBodiesArePrintedAsTheyAre(t *testing.T) {
	t.Parallel()
	p := serveHere(t, strings.Replace(smallConfig, "archive: {enabled: false}",
		`archive: {enabled: false}, team: {kind: exec, command: ["/bin/sh", "-c", "exit 65"], start: all}`, 1))
	body := "{\"id\":\"a\",\r\n \"status\":\"failed\",\"x\":\"\u202e\u009b<&>\u00e9\\u0041\"}  \n"
	unusable := "\xff\xfe{\"status\":\x00}"
	status, _ := p.post(body)
	require.Equal(t, 200, status)
	status, _ = p.post(unusable)
	require.Equal(t, 200, status)
	require.Eventually(t, func() bool { return p.state("team").Dead == 1 }, patience, 20*time.Millisecond, p.logs)
	for verb, want := range map[string]string{"events show 1": body, "dead show 1": body, "quarantine show quarantine 1": unusable} {
		text := p.says(strings.Fields(verb)...)
		require.True(t, strings.HasSuffix(text, "\n\n"+want), "%s: %q", verb, text)
		require.Equal(t, want, p.says(append(strings.Fields(verb), "--body")...), verb)
	}
}

// An error is JSON under --json, and the exit code tells wrong use apart.
func TestErrorsAndExitCodes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args string
		code int
	}{
		{"bogus", 2},
		{"serve --bogus", 2},
		{"dead", 2},
		{"send --secret x", 2},
		{"dead drop", 2},
		{"consumers seek x", 2},
		{"dead drop --seq 1 --api http://127.0.0.1:1", 2},
		{"events list --api http://127.0.0.1:1", 1},
		{"config check /none", 1},
		{"send --secret env:HOOKSPAN_TEST_UNSET", 1},
		{"nats-env --config /none", 1},
		{"journal drain --config /none", 1},
		{"serve --config /none", 1},
	} {
		code, stdout, stderr := runVerb(append([]string{"--json"}, strings.Fields(c.args)...)...)
		require.Equal(t, c.code, code, c.args)
		require.Empty(t, stdout, c.args)
		var got failure
		require.NoError(t, json.Unmarshal([]byte(stderr), &got), "%s: %s", c.args, stderr)
		require.Equal(t, c.code, got.Code)
		require.NotEmpty(t, got.Error)
		code, _, stderr = runVerb(strings.Fields(c.args)...)
		require.Equal(t, c.code, code, c.args)
		require.True(t, strings.HasPrefix(stderr, "hookspan: "), stderr)
	}
	e, out := testEnv(), &bytes.Buffer{}
	e.stderr = out
	require.Equal(t, exitFailed, e.fail(errors.Join(errors.New("one"), errors.New("two\u202e"))))
	require.Equal(t, "hookspan: one\ntwo\\u202e\n", out.String())
}

// Without arguments the help is printed.
func TestNoArguments(t *testing.T) {
	t.Parallel()
	code, stdout, stderr := runVerb()
	require.Equal(t, 0, code)
	require.Empty(t, stderr)
	_, help, _ := runVerb("--help")
	require.Equal(t, help, stdout)
	require.Contains(t, stdout, "config check")
}
