package admin_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/admin"
	"github.com/hookspan/hookspan/bridge/internal/lists"
	"github.com/hookspan/hookspan/bridge/internal/quarantine"
	"github.com/hookspan/hookspan/bridge/internal/source"
	"github.com/hookspan/hookspan/bridge/internal/stream/streamtest"
	"github.com/hookspan/hookspan/internal/adminapi"
)

type noAlarms struct{}

func (noAlarms) Raise(bridge.Alarm) {}

// entries is the API on a real stream with n entries, the last of which is not UTF-8. No
// source can make an event of any.
func entries(t *testing.T, n int) (*admin.Server, *streamtest.Bench) {
	t.Helper()
	b := streamtest.Start(t, streamtest.Config())
	q := quarantine.NewQuarantine(b.Publisher(), b.Names, noAlarms{})
	for i := range n {
		w := &bridge.KeptDelivery{Source: "get3w", Cause: "no_id", ReceivedAt: time.Now(), Body: []byte(fmt.Sprintf(`{"n":%d}`, i))}
		if i == n-1 {
			w.Cause, w.Body = "encoding", []byte("\xff<")
		}
		w.AddProof("X-Get3w-Signature", []string{"aa"})
		w.AddHeader("User-Agent", []string{"x"})
		_, err := q.Keep(context.Background(), w)
		require.NoError(t, err)
	}
	store := quarantine.NewKeptStore(b.JS, b.Names)
	all := struct {
		*quarantine.KeptStore
		*quarantine.Reverifier
		*lists.Lists
	}{store, quarantine.New(store, b.Publisher(), func(string) *source.Source { return nil }), lists.New(nil, b.JS, b.Names)}
	s := start(t, "127.0.0.1:0")
	s.SetAPI(func(api *echo.Group) { admin.RegisterQuarantine(api, all) })
	return s, b
}

func TestKeptCauses(t *testing.T) {
	t.Parallel()
	s, _ := entries(t, 4)
	a := get(t, s, "/api/v1/quarantine/causes")
	require.Equal(t, 200, a.status, a.body)
	require.JSONEq(t, `{"causes":[{"stream":"quarantine","source":"get3w","cause":"no_id","count":3},{"stream":"quarantine","source":"get3w","cause":"encoding","count":1}]}`, a.body)
}

func list(t *testing.T, s *admin.Server, query string) (seqs []uint64, next string) {
	t.Helper()
	a := get(t, s, "/api/v1/quarantine"+query)
	require.Equal(t, 200, a.status, a.body)
	var l adminapi.KeptList
	require.NoError(t, json.Unmarshal([]byte(a.body), &l))
	for _, e := range l.Entries {
		seqs = append(seqs, e.Seq)
	}
	return seqs, l.Next
}

func TestQuarantineAPI(t *testing.T) {
	s, b := entries(t, 4)
	for _, stream := range []string{"", "&stream=quarantine"} {
		seqs, next := list(t, s, "?limit=3"+stream)
		require.Equal(t, []uint64{4, 3, 2}, seqs)
		seqs, next = list(t, s, "?limit=3"+stream+"&cursor="+next)
		require.Equal(t, []uint64{1}, seqs)
		require.Empty(t, next)
	}
	seqs, _ := list(t, s, "?source=get3w&cause=encoding")
	require.Equal(t, []uint64{4}, seqs)
	require.Contains(t, get(t, s, "/api/v1/quarantine?stream=refused").body, `"entries":[]`)

	var d adminapi.KeptDetail
	require.NoError(t, json.Unmarshal([]byte(get(t, s, "/api/v1/quarantine/quarantine/1").body), &d))
	require.JSONEq(t, `{"n":0}`, *d.Body)
	require.Equal(t, bridge.Header{"X-Get3w-Signature": {"aa"}}, d.Proof)
	require.Equal(t, bridge.Header{"User-Agent": {"x"}}, d.Header)
	d = adminapi.KeptDetail{}
	require.NoError(t, json.Unmarshal([]byte(get(t, s, "/api/v1/quarantine/quarantine/4").body), &d))
	require.Nil(t, d.Body)
	require.Equal(t, "\xff<", string(d.BodyBase64))

	call := func(verb, body string) (r adminapi.KeptReport) {
		a := do(t, s, http.MethodPost, "/api/v1/quarantine/"+verb, body, map[string]string{"Content-Type": "application/json"})
		require.Equal(t, 200, a.status, a.body)
		require.NoError(t, json.Unmarshal([]byte(a.body), &r))
		return r
	}
	require.Equal(t, map[string]int{"unknown_source": 4}, call("reverify", `{}`).Remaining)
	require.Equal(t, 1, call("accept", `{"seqs":[1],"by":"anna"}`).LookedAt)
	report := call("drop", `{"stream":"quarantine","limit":2,"dry_run":true}`)
	require.Equal(t, adminapi.KeptReport{DryRun: true, LookedAt: 2, Removed: 2, More: true, Last: 2, Remaining: map[string]int{}}, report)
	require.EqualValues(t, 4, b.Messages(t, "HOOKSPAN_QUARANTINE"))
	require.Equal(t, 2, call("drop", `{"stream":"quarantine","seqs":[4,1,9]}`).Removed)
	seqs, _ = list(t, s, "")
	require.Equal(t, []uint64{3, 2}, seqs)
}

func TestQuarantineAPIRefuses(t *testing.T) {
	s, b := entries(t, 1)
	for path, status := range map[string]int{
		"?stream=events": 400, "?limit=0": 400, "?limit=1001": 400, "?limit=x": 400, "?cursor=1": 400, "?cursor=1.2.3": 400, "?cursor=-.!": 400,
		"?stream=refused&cursor=1.-": 400,
		"?source=a.b":                400, "?cause=*": 400, "/quarantine/x": 400, "/quarantine/0": 400, "/quarantine/99": 404, "/events/1": 404,
	} {
		a := get(t, s, "/api/v1/quarantine"+path)
		require.Equal(t, status, a.status, path)
		require.NotEmpty(t, a.detail(t), path)
	}
	for _, verb := range []string{"reverify", "drop"} {
		for _, body := range []string{
			``, `[]`, `{"stream":"quarantine","bogus":1}`, `{"stream":"x"}`, `{"stream":"quarantine","limit":-1}`, `{"seqs":[1]}`,
			`{"stream":"quarantine","source":"*"}`, `{"stream":"quarantine","seqs":[` + strings.Repeat("1,", 1000) + `1]}`,
		} {
			a := do(t, s, http.MethodPost, "/api/v1/quarantine/"+verb, body, map[string]string{"Content-Type": "application/json"})
			require.Equal(t, 400, a.status, "%s %.60s", verb, body)
			a.detail(t)
		}
	}
	a := do(t, s, http.MethodPost, "/api/v1/quarantine/drop", `{}`, map[string]string{"Content-Type": "application/json"})
	require.Equal(t, 400, a.status, "everything is not dropped by an empty object")
	require.EqualValues(t, 1, b.Messages(t, "HOOKSPAN_QUARANTINE"))
}
