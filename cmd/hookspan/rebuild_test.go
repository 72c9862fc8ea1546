package main

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/fakeget3w"
	"github.com/hookspan/hookspan/internal/natstest"
)

// statesOf are the states of every prediction, byte for byte.
func (p *program) statesOf() map[string]string {
	out := map[string]string{}
	for id := range p.states() {
		status, text := p.admin("/api/v1/predictions/get3w/" + url.PathEscape(id))
		require.Equal(p.t, 200, status, text)
		out[id] = text
	}
	return out
}

// A view that is thrown away is made anew from the streams, and is the same to the byte, with
// predictions in every state.
func TestViewIsMadeAnewTheSame(t *testing.T) {
	t.Parallel()
	const n = 210
	x := natstest.NewExternal(t, nil)
	x.Start()
	w := newWorld(t, fakeget3w.Config{
		Rules:      []fakeget3w.Rule{{Duration: 20 * time.Second, DropEvery: 3, FailEvery: 5, NeverEvery: 7}},
		OutputLife: time.Hour, OutputBytes: 1 << 10, Senders: 8,
	})
	w.config = strings.Replace(w.config, `nats: {listen: "127.0.0.1:0", events: {max_bytes: 256MiB}}`, fmt.Sprintf("nats: {url: %q}", x.URL()), 1)
	w.config = strings.Replace(w.config, "poll_after: 5s", "poll_after: 1s", 1)
	p := w.serve()
	js := x.JetStream()

	var ids []string
	for i := range n {
		ids = append(ids, w.submit(i))
	}
	w.watch(p, ids[n/3:]) // the others become known by what comes of them
	for i := range 10 {
		status, _ := p.post(fmt.Sprintf(`{"id":"twice_%d","model":"get3w/flux-dev","status":"failed","error":"no"}`, i))
		require.Equal(t, 200, status)
		status, _ = p.post(fmt.Sprintf(`{"id":"twice_%d","model":"get3w/flux-dev","status":"completed","outputs":[]}`, i))
		require.Equal(t, 200, status)
		status, _ = p.post(fmt.Sprintf(`{"id":"runs/%d?","status":"processing"}`, i))
		require.Equal(t, 200, status)
		lost, err := (&bridge.Lost{Source: "get3w", Prediction: fmt.Sprint("gone_", i), Cause: bridge.DeadNotFound, LostAt: time.Now()}).Event()
		require.NoError(t, err)
		_, err = js.PublishMsg(t.Context(), &nats.Msg{Subject: bridge.Names{}.SubjectOf(lost), Header: nats.Header(lost.Header()), Data: lost.Body})
		require.NoError(t, err)
	}

	// An example and the number of predictions in each state.
	fates := func(states map[string]adminapi.Prediction) map[string]int {
		by := map[string]int{}
		for _, s := range states {
			switch {
			case s.Lost != "":
				by["given up"]++
			case s.Conflict:
				by["twice"]++
			case s.Open:
				by["open"]++
			case s.Status == bridge.StatusCompleted && s.Stored < s.Outputs:
				by["not archived"]++
			default:
				by[s.Status+" by "+s.Origin]++
			}
		}
		return by
	}
	want := map[string]int{"given up": 10, "twice": 10, "open": 10}
	for i := 1; i <= n; i++ {
		dropped, watched := i%3 == 0, i > n/3
		status := map[bool]string{true: "failed", false: "completed"}[i%5 == 0]
		switch {
		case i%7 == 0 && watched:
			want["open"]++
		case i%7 == 0 || dropped && !watched: // nobody has heard of it
		case dropped:
			want[status+" by poll"]++
		default:
			want[status+" by webhook"]++
		}
	}
	var have map[string]int
	require.Eventually(t, func() bool {
		have = fates(p.states())
		return fmt.Sprint(have) == fmt.Sprint(want)
	}, 2*patience, 100*time.Millisecond, "%v", want)
	t.Log(have)
	stream, err := js.Stream(t.Context(), "HOOKSPAN_EVENTS")
	require.NoError(t, err)
	last := stream.CachedInfo().State.LastSeq
	before := p.statesOf()
	require.Greater(t, len(before), n*3/4)
	file := filepath.Join(p.ready.DataDir, "view.db")

	again := func(what string, remove func()) {
		kept := filepath.Join(t.TempDir(), "old") // so that no new file can have its inode
		require.NoError(t, os.Link(file, kept))
		old, err := os.Stat(kept)
		require.NoError(t, err)
		began := time.Now()
		remove()
		require.Eventually(t, func() bool {
			now, err := os.Stat(file)
			if err != nil || os.SameFile(old, now) {
				return false
			}
			code, out, _ := runVerb("--json", "view", "status", "--api", p.ready.Admin)
			var s adminapi.ViewStatus
			return code == 0 && json.Unmarshal([]byte(out), &s) == nil && s.UpToDate && !s.Rebuilding && s.Streams["HOOKSPAN_EVENTS"].Folded >= last
		}, 3*patience, 50*time.Millisecond, what)
		t.Logf("%s: made anew after %v", what, time.Since(began).Round(time.Millisecond))
		require.Equal(t, before, p.statesOf(), what)
	}
	again("by its verb", func() {
		require.Contains(t, p.says("view", "rebuild"), "made anew from the first stored event")
	})
	again("its file is gone", func() { require.NoError(t, os.Remove(file)) })
	require.Equal(t, want, fates(p.states()))
	require.Equal(t, exitDone, p.stop())
}
