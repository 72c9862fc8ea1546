package main

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/internal/natstest"
)

// The stream of the guide that splits the events has each of them once, in the part of its model,
// with its headers and its body.
func TestSplitOfTheGuide(t *testing.T) {
	t.Parallel()
	x := natstest.NewExternal(t, nil)
	x.Start()
	p := serve(t, t.TempDir(), at(x, "ingress, consumers, admin", ""))
	var split jetstream.StreamConfig
	for _, one := range snippets(t, "docs/scaling.md", "json") {
		require.NoError(t, json.Unmarshal([]byte(one), &split), one)
	}
	require.NotEmpty(t, split.Name)
	split.Replicas = 1 // the guide has a cluster
	js := x.JetStream()
	const models, each = 12, 3
	want := map[string]string{}
	post := func(i int) {
		id, model := fmt.Sprintf("pred_%d", i), fmt.Sprintf("vendor/model-%d", i%models)
		if i%models == 0 {
			model = "single"
		}
		body := fmt.Sprintf(`{"id":%q,"model":%q,"status":"completed","outputs":[]}`, id, model)
		status, text := p.post(body)
		require.Equal(t, 200, status, text)
		want[id] = body
	}
	for i := range models {
		post(i) // before the stream is there
	}
	stream, err := js.CreateStream(t.Context(), split)
	require.NoError(t, err)
	for i := models; i < models*each; i++ {
		post(i)
	}
	require.Eventually(t, func() bool {
		info, err := stream.Info(t.Context())
		return err == nil && info.State.Msgs == uint64(len(want))
	}, patience, 20*time.Millisecond, p.logs)

	partOf, parts := map[string]int{}, map[int]bool{}
	for part := range 4 {
		c, err := stream.CreateConsumer(t.Context(), jetstream.ConsumerConfig{FilterSubject: fmt.Sprintf("split.%d.>", part), AckPolicy: jetstream.AckNonePolicy})
		require.NoError(t, err)
		for range c.CachedInfo().NumPending {
			m, err := c.Next()
			require.NoError(t, err)
			id, model := m.Headers().Get("ce-subject"), m.Headers().Get("ce-model")
			require.Equal(t, want[id], string(m.Data()))
			delete(want, id)
			if before, known := partOf[model]; known {
				require.Equal(t, before, part, "all events of a model are in one part")
			}
			partOf[model], parts[part] = part, true
		}
	}
	require.Empty(t, want)
	require.Greater(t, len(parts), 1)
}
