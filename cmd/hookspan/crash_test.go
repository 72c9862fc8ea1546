package main

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

var kills = flag.Int("kills", 4, "how often TestKilledBridgeKeepsWhatItAnswered kills the bridge")

// oracle writes down every id that was sent, and that was answered 200.
type oracle struct {
	mu    sync.Mutex
	sent  map[string]bool
	acked map[string]bool
	tick  chan struct{}
}

func (o *oracle) send(id string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.sent[id] = true
}

func (o *oracle) ack(id string) {
	o.mu.Lock()
	o.acked[id] = true
	o.mu.Unlock()
	o.tick <- struct{}{}
}

// A bridge that is killed in the middle of 64 senders has every event that it
// answered 200 for, once, also when the senders repeat what they had sent: they
// were not answered, or cannot know whether they were.
func TestKilledBridgeKeepsWhatItAnswered(t *testing.T) {
	t.Parallel()
	const senders = 64
	dir := t.TempDir()
	o := &oracle{sent: map[string]bool{}, acked: map[string]bool{}, tick: make(chan struct{}, 1<<16)}
	for round := range *kills {
		p := serve(t, dir, smallConfig)
		var done sync.WaitGroup
		for sender := range senders {
			done.Go(func() { sendUntilDead(p, fmt.Sprintf("pred_%d_%d", round, sender), o) })
		}
		for range 100 + rand.IntN(400) {
			<-o.tick
		}
		p.kill()
		done.Wait()
	}
	p := serve(t, dir, smallConfig)
	answered := len(o.acked)
	for id := range o.sent {
		status, text := p.post(killBody(id))
		require.Equal(t, 200, status, text)
		if o.acked[id] {
			require.Contains(t, text, `"result":"duplicate"`, id)
		}
		o.acked[id] = true
	}
	stored, batched := map[string]int{}, 0
	for _, m := range p.events() {
		if m.Headers().Get("Nats-Batch-Id") != "" {
			batched++
		}
		stored[m.Headers().Get("ce-subject")]++
		require.Equal(t, killBody(m.Headers().Get("ce-subject")), string(m.Data()))
	}
	lost := 0
	for id := range o.acked {
		if stored[id] == 0 {
			lost++
		}
	}
	twice := 0
	for _, n := range stored {
		if n > 1 {
			twice++
		}
	}
	t.Logf("%d kills, %d senders: answered 200 %d, stored %d, in batches %d, lost %d, twice %d", *kills, senders, answered, len(stored), batched, lost, twice)
	require.Zero(t, lost)
	require.Zero(t, twice)
	require.Positive(t, batched)
	require.Equal(t, 0, p.stop(), p.logs)
}

func killBody(id string) string {
	return `{"id":"` + id + `","model":"get3w/flux-dev","status":"completed","outputs":["https://cdn.get3w.com/` + id + `.png"]}`
}

// sendUntilDead posts one new prediction after the other until the bridge answers no more.
func sendUntilDead(p *program, prefix string, o *oracle) {
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	for i := 0; ; i++ {
		id := fmt.Sprintf("%s_%d", prefix, i)
		o.send(id)
		body := killBody(id)
		req, err := http.NewRequest(http.MethodPost, p.url(), strings.NewReader(body))
		if err != nil {
			return
		}
		sign(p.t, req.Header, body)
		res, err := client.Do(req)
		if err != nil {
			return
		}
		_ = res.Body.Close()
		if res.StatusCode == http.StatusOK {
			o.ack(id)
		}
	}
}
