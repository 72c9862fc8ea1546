package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var handovers = flag.Int("handovers", 3, "how often TestRestartRefusesNobody has the bridge read its configuration again, and restarts it")

const (
	webhookEvery = 5 * time.Millisecond // 200 a second
	secondTry    = 2 * time.Second
)

// steady is a sender that posts webhooks at a steady rate, and each of them at most twice.
type steady struct {
	t       *testing.T
	url     string
	every   time.Duration // default webhookEvery
	clients []*http.Client
	*oracle

	mu      sync.Mutex
	refused int           // connections
	again   []error       // of first attempts that were not answered 200
	failed  []error       // of second ones
	longest time.Duration // from the beginning of a webhook to its 200
}

// run sends until end is closed, and returns when everything is answered.
func (s *steady) run(end <-chan struct{}) {
	tick := time.NewTicker(cmp.Or(s.every, webhookEvery))
	defer tick.Stop()
	var open sync.WaitGroup
	defer open.Wait()
	for i := 0; ; i++ {
		select {
		case <-end:
			return
		case <-tick.C:
			open.Go(func() { s.webhook(fmt.Sprintf("pred_%d", i), s.clients[i%len(s.clients)]) })
		}
	}
}

func (s *steady) webhook(id string, client *http.Client) {
	s.send(id)
	begun := time.Now()
	err := s.attempt(client, id)
	if err != nil {
		s.note(func() { s.again = append(s.again, err) })
		<-time.After(secondTry)
		err = s.attempt(client, id)
	}
	s.note(func() {
		if err != nil {
			s.failed = append(s.failed, err)
		}
		s.longest = max(s.longest, time.Since(begun))
	})
	if err == nil {
		s.ack(id)
	}
}

func (s *steady) note(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

func (s *steady) attempt(client *http.Client, id string) error {
	body := killBody(id)
	req, err := http.NewRequest(http.MethodPost, s.url, strings.NewReader(body))
	if err != nil {
		return err
	}
	sign(s.t, req.Header, body)
	res, err := client.Do(req)
	if errors.Is(err, syscall.ECONNREFUSED) {
		s.note(func() { s.refused++ })
	}
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", res.Status, text)
	}
	return err
}

// A bridge whose sources change and that is restarted again and again under a steady rate of
// webhooks, on a socket that its parent holds, refuses no connection and answers every webhook, whether its sender keeps
// connections or not. What was answered 200 is in the stream, once.
func TestRestartRefusesNobody(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	oneSource := smallConfig + "sources: {get3w: {secrets: [env:GET3W_WEBHOOK_SECRET]}}\n"
	twoSources := strings.Replace(oneSource, "sources: {", "sources: {other: {secrets: [env:GET3W_WEBHOOK_SECRET]}, ", 1)
	put(t, dir, "hookspan.yaml", oneSource)
	webhooks := hold(t, "webhooks")
	keeps, opens := &http.Transport{}, &http.Transport{DisableKeepAlives: true}
	defer keeps.CloseIdleConnections()
	s := &steady{
		t: t, clients: []*http.Client{{Transport: keeps, Timeout: patience}, {Transport: opens, Timeout: patience}},
		oracle: &oracle{sent: map[string]bool{}, acked: map[string]bool{}, tick: make(chan struct{}, 1<<16)},
	}
	p := serveOn(t, dir, webhooks)
	s.url = p.url()
	end, ended := make(chan struct{}), make(chan struct{})
	go func() { defer close(ended); s.run(end) }()
	stop := sync.OnceFunc(func() { close(end); <-ended })
	defer stop()
	answered := func(n int) {
		for range n {
			<-s.tick
		}
	}
	for range *handovers {
		answered(50)
		put(t, dir, "hookspan.yaml", twoSources)
		require.NoError(t, p.cmd.Process.Signal(syscall.SIGHUP))
		p.logged(`"sources_changed":["other"]`)
		answered(50)
		put(t, dir, "hookspan.yaml", oneSource)
		require.Equal(t, 0, p.stop(), p.logs)
		p = serveOn(t, dir, webhooks)
	}
	stop()
	stored := map[string]int{}
	for _, m := range p.events() {
		stored[m.Headers().Get("ce-subject")]++
	}
	lost, twice := 0, 0
	for id := range s.acked {
		if stored[id] == 0 {
			lost++
		}
	}
	for _, n := range stored {
		if n > 1 {
			twice++
		}
	}
	t.Logf("%d reloads and as many restarts: %d webhooks, %d answered 200, lost %d, stored twice %d, connections refused %d, second attempts %d, failed %d, longest wait %v",
		*handovers, len(s.sent), len(s.acked), lost, twice, s.refused, len(s.again), len(s.failed), s.longest.Round(time.Millisecond))
	for _, err := range s.again {
		t.Log("first attempt: ", err)
	}
	require.Zero(t, s.refused)
	require.Empty(t, s.failed)
	require.Zero(t, lost)
	require.Zero(t, twice)
	require.Len(t, s.acked, len(s.sent))
	require.Equal(t, 0, p.stop(), p.logs)
}
