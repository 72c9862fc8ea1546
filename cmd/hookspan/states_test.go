package main

import (
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/consumerstate"
	"github.com/hookspan/hookspan/internal/natstest"
)

// The shown state of a consumer is true while its target is dead, while it answers with errors,
// and once it is back; its first dead letter is an alarm.
func TestStatesOfConsumers(t *testing.T) {
	t.Parallel()
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(natstest.FreePort(t)))
	answers := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		status, _ := strconv.Atoi(strings.TrimPrefix(r.URL.Path, "/"))
		w.WriteHeader(status)
	}))
	t.Cleanup(answers.Close)
	dir := t.TempDir()
	put(t, dir, "key", strings.Repeat("key-", 8))
	one := func(name, url string) string {
		return "  " + name + ": {kind: forward, start: all, filter: {model: " + name + "}, url: \"" + url + "\", secret: file:" + dir + "/key, allow_private: true}\n"
	}
	p := serve(t, dir, strings.Replace(smallConfig, "consumers: {archive: {enabled: false}}", "consumers:\n"+
		one("away", "http://"+address)+one("broken", answers.URL+"/500")+one("unwanted", answers.URL+"/422")+one("fine", answers.URL+"/200")+
		"  unread: {kind: pull, start: all, filter: {model: unread}}\n", 1))
	post := func(model string, n int) {
		t.Helper()
		for i := range n {
			status, text := p.post(`{"id":"pred_` + model + strconv.Itoa(i) + `","model":"` + model + `","status":"completed","outputs":[]}`)
			require.Equal(t, 200, status, text)
		}
	}
	becomes := func(name string, state consumerstate.State) adminapi.ConsumerState {
		t.Helper()
		require.Eventually(t, func() bool { return p.state(name).State == state }, patience, 50*time.Millisecond,
			"%s is not %s\n%s", name, state, p.logs)
		return p.state(name)
	}
	began := time.Now()
	post("away", 12)
	post("broken", 1)
	post("unwanted", 1)
	post("fine", 1)
	post("unread", 1)

	s := becomes("away", consumerstate.Blocked)
	require.WithinRange(t, s.Since, began, time.Now())
	require.Contains(t, s.Reason, "connection refused")
	s = becomes("broken", consumerstate.Failing)
	require.WithinRange(t, s.Since, began, time.Now())
	require.Contains(t, s.Reason, "answered 500")
	require.Positive(t, s.Failures)
	becomes("unread", consumerstate.Unread)
	becomes("fine", consumerstate.Current)
	require.Regexp(t, `(?m)^away +forward .* blocked since 20\S+: .*connection refused$`, p.says("consumers", "list"))
	require.Regexp(t, `(?m)^broken +forward .* failing since 20\S+, \d+ in a row: .*answered 500 Internal Server Error$`, p.says("consumers", "list"))
	require.Regexp(t, `(?m)^unread +pull .* nobody asks for its events$`, p.says("consumers", "list"))

	back, err := net.Listen("tcp", address)
	require.NoError(t, err)
	srv := &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})}
	go func() { _ = srv.Serve(back) }()
	t.Cleanup(func() { _ = srv.Close() })
	becomes("away", consumerstate.Current)
	becomes("unwanted", consumerstate.Current)
	require.EqualValues(t, 1, p.state("unwanted").Dead)

	p.logged(`consumer unwanted gave up on events, dead letters now: 1; see them with hookspan dead list --consumer unwanted`)
	require.Eventually(t, func() bool {
		_, text := p.admin("/metrics")
		return strings.Contains(text, `hookspan_consumer_state{consumer="broken",state="failing"} 1`)
	}, patience, 50*time.Millisecond)
	require.Equal(t, 0, p.stop(), p.logs)
}
