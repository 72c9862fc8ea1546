package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/fakeget3w"
	"github.com/hookspan/hookspan/internal/natstest"
)

// bucketOf is the bucket of the prediction store, as any NATS client reads it.
func bucketOf(t *testing.T, js jetstream.JetStream) jetstream.KeyValue {
	t.Helper()
	kv, err := js.KeyValue(t.Context(), "HOOKSPAN_PREDICTIONS")
	require.NoError(t, err)
	return kv
}

// entriesOf are the values of every prediction, byte for byte.
func entriesOf(t *testing.T, js jetstream.JetStream) map[string]string {
	t.Helper()
	w, err := bucketOf(t, js).Watch(t.Context(), "entry.>", jetstream.IgnoreDeletes())
	require.NoError(t, err)
	defer func() { require.NoError(t, w.Stop()) }()
	out := map[string]string{}
	for e := range w.Updates() {
		if e == nil { // that is all there is now
			return out
		}
		out[e.Key()] = string(e.Value())
	}
	t.Fatal("the bucket ended")
	return nil
}

// made identifies the prediction store: empty while it is being rebuilt.
func made(js jetstream.JetStream) string {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	kv, err := js.KeyValue(ctx, "HOOKSPAN_PREDICTIONS")
	if err != nil {
		return ""
	}
	e, err := kv.Get(ctx, "meta")
	if err != nil {
		return ""
	}
	var meta struct {
		ID         string `json:"id"`
		Rebuilding bool   `json:"rebuilding"`
	}
	if err := json.Unmarshal(e.Value(), &meta); err != nil || meta.Rebuilding {
		return ""
	}
	return meta.ID
}

// A prediction store that is thrown away is folded again from the events, and is the same to the
// byte, with predictions in every state.
func TestPredictionStoreIsMadeAnewTheSame(t *testing.T) {
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
	before := entriesOf(t, js)
	require.Greater(t, len(before), n*3/4)

	again := func(what string, remove func()) {
		id, began := made(js), time.Now()
		require.NotEmpty(t, id)
		remove()
		require.Eventually(t, func() bool {
			now := made(js)
			return now != "" && now != id
		}, 3*patience, 50*time.Millisecond, what)
		require.Eventually(t, func() bool {
			code, out, _ := runVerb("--json", "predictions", "status", "--api", p.ready.Admin)
			var s adminapi.PredictionsStatus
			return code == 0 && json.Unmarshal([]byte(out), &s) == nil && s.UpdatedAt.After(began) && !s.Rebuilding && s.Folded >= last
		}, 3*patience, 50*time.Millisecond, what)
		t.Logf("%s: made anew after %v", what, time.Since(began).Round(time.Millisecond))
		require.Equal(t, before, entriesOf(t, js), what)
	}
	again("by its verb", func() {
		require.Contains(t, p.says("predictions", "rebuild"), "folded again from the first stored event")
	})
	again("its bucket is gone", func() { require.NoError(t, js.DeleteStream(t.Context(), "KV_HOOKSPAN_PREDICTIONS")) })
	require.Equal(t, want, fates(p.states()))
	require.Equal(t, exitDone, p.stop())
}
