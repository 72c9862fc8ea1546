package simulate

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/fakesender"
	"github.com/hookspan/hookspan/internal/sending"
	"github.com/hookspan/hookspan/internal/signing"
)

func testConfig() Config {
	sender, err := fakesender.Of("get3w")
	if err != nil {
		panic(err)
	}
	return Config{
		Sender: sender, Source: "get3w", Secret: []byte("secret"), Speed: 1, Count: 400, Rate: 10, Seed: 7,
		Models:   Mix{{"get3w/flux-dev", 3}, {"google/veo-3", 1}},
		Statuses: Mix{{"completed", 8}, {"failed", 1}, {"created", 1}}, Bytes: Range{500, 16 << 10},
		Outputs: Outputs{Bytes: 100_000, Listen: "127.0.0.1:0"},
	}
}

// Bodies are the same each time, of the size and of the mix that were asked for.
func TestBodies(t *testing.T) {
	t.Parallel()
	cfg := testConfig()
	p, at := newPlan(cfg, "http://127.0.0.1:1/outputs/"), time.UnixMilli(1e12)
	models, statuses, small := map[string]int{}, map[string]int{}, 0
	for n := range cfg.Count {
		body := p.body(n, false, at)
		require.Equal(t, body, p.body(n, false, at))
		w, err := bridge.ParsePrediction(body)
		require.NoError(t, err)
		require.Equal(t, p.id(n), w.ID)
		require.Equal(t, p.status(n), w.Status)
		require.Equal(t, bridge.Terminal(w.Status), w.CompletedAt.Equal(at))
		require.True(t, len(body) >= 500 && len(body) <= 16<<10, "%d", len(body))
		if len(body) < 2<<10 {
			small++
		}
		models[w.Model]++
		statuses[w.Status]++
		serial, ok := p.serial(w.ID)
		require.True(t, ok)
		require.Equal(t, n, serial)

		late, err := bridge.ParsePrediction(p.body(n, true, at))
		require.NoError(t, err)
		require.Equal(t, []string{w.ID, w.Model, bridge.StatusProcessing}, []string{late.ID, late.Model, late.Status})
	}
	require.InDelta(t, 300, models["get3w/flux-dev"], 60)
	require.InDelta(t, 320, statuses["completed"], 60)
	require.Len(t, statuses, 3)
	require.Greater(t, small, 80, "small ones are as frequent as large ones")
	for _, id := range []string{p.run, p.run + "1", p.run + forgedMark + "1", "other", p.id(1) + "x"} {
		_, ok := p.serial(id)
		require.False(t, ok, id)
	}
}

func TestForgeriesAndBrokenBodies(t *testing.T) {
	t.Parallel()
	cfg := testConfig()
	cfg.ForgeEvery, cfg.BreakEvery = 3, 2
	p := newPlan(cfg, "")
	bodies := map[string]bool{}
	for n := range 24 {
		if nth(n, cfg.ForgeEvery) {
			header, body := p.forge(n, time.Now())
			require.False(t, signing.Verify(header.Get(signing.Header), body, cfg.Secret))
		}
		body := p.body(n, false, time.Now())
		w, err := bridge.ParsePrediction(body)
		require.Equal(t, nth(n, cfg.BreakEvery), err != nil || w.ID == "", "%d: %s", n, body)
		require.True(t, bytes.Contains(body, []byte(p.id(n))), "each is another one")
		bodies[string(body)] = true
		_, err = bridge.ParsePrediction(p.body(n, true, time.Now()))
		require.NoError(t, err, "a late one can be read")
	}
	require.Len(t, bodies, 24)
}

// Outputs come as their fate is, and whole in the end unless they are missing.
func TestOutputs(t *testing.T) {
	t.Parallel()
	cfg := testConfig()
	cfg.Statuses = Mix{{"completed", 1}}
	cfg.Outputs.Count, cfg.Outputs.CutEvery, cfg.Outputs.MissingEvery, cfg.Outputs.SlowEvery = 1, 2, 3, 5
	s, err := listenOutputs(cfg.Outputs.Listen)
	require.NoError(t, err)
	p := newPlan(cfg, s.base)
	s.serve(p)
	t.Cleanup(s.close)
	get := func(n int) (int, string, error) {
		var w sending.Webhook
		require.NoError(t, json.Unmarshal(p.body(n, false, time.Now()), &w))
		require.Len(t, w.Outputs, 1)
		res, err := http.Get(w.Outputs[0])
		require.NoError(t, err)
		defer func() { _ = res.Body.Close() }()
		sum := sha256.New()
		_, err = io.Copy(sum, res.Body)
		return res.StatusCode, hex.EncodeToString(sum.Sum(nil)), err
	}
	for n, fate := range []string{"good", "cut", "gone", "cut", "slow", "gone"} {
		status, sum, err := get(n)
		name := p.served(n)[0]
		switch fate {
		case "gone":
			require.Equal(t, http.StatusGone, status)
			require.Empty(t, p.sum(name))
			continue
		case "cut":
			require.ErrorIs(t, err, io.ErrUnexpectedEOF)
			_, sum, err = get(n)
		}
		require.NoError(t, err)
		require.Equal(t, p.sum(name), sum)
	}
	res, err := http.Get(s.base + p.id(0) + "-1.png")
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, http.StatusNotFound, res.StatusCode)
	require.EqualValues(t, 9, s.asked.Load())
}

// What the answers say of a webhook is counted once, whatever came in between.
func TestAccount(t *testing.T) {
	t.Parallel()
	a := newAccount()
	for _, each := range [][]string{
		{"stored"},
		{"!503", "!no answer", "duplicate"},
		{"stored", "duplicate", "duplicate"},
		{"!401", "!401", "!401", "!401"},
		{"quarantined", "quarantined"},
		{"!503"}, // interrupted
		{"spooled"},
		{"duplicate", "stored"},           // the copy came first
		{"duplicate", "stored", "stored"}, // and another one after a restart
	} {
		r := a.begin(&record{unreadable: each[0] == "quarantined", at: time.Now()})
		for _, answer := range each {
			if why, refused := strings.CutPrefix(answer, "!"); refused {
				require.False(t, a.answered(r, "p", "", "", why))
				continue
			}
			event := "p/completed/1"
			if answer == "quarantined" {
				event = ""
			}
			require.True(t, a.answered(r, "p", answer, event, ""))
		}
		a.end(r, len(each) == 4)
	}
	require.Zero(t, a.strange)
	got := a.totals()
	require.Equal(t, totals{
		sent: 9, finished: 9, attempts: 20, acknowledged: 7, abandoned: 1, duplicates: 7,
		answers: map[string]int{
			"200 stored": 5, "200 duplicate": 5, "200 quarantined": 2, "200 spooled": 1,
			"401": 4, "503": 2, "no answer": 1,
		},
	}, got)
}

func TestReportNamesSome(t *testing.T) {
	t.Parallel()
	var l named
	require.Empty(t, l.some())
	l.add("b")
	l.add("%s", "a")
	require.Equal(t, []string{"a", "b"}, l.some())
	for range maxNamed + 3 {
		l.add("")
	}
	require.Len(t, l.some(), maxNamed+1)
	require.Equal(t, "and 5 more like these", l.some()[maxNamed])
	require.Len(t, l.words, maxNamed, "no more is kept")
}

// A webhook whose place is the quarantine is nowhere else, and no other one is there.
func TestAccountOfMisplacedWebhooks(t *testing.T) {
	t.Parallel()
	a := newAccount()
	for _, at := range []struct {
		unreadable    bool
		result, event string
		words         string
	}{
		{false, "quarantined", "", "p can be read, and was answered as quarantined"},
		{true, "stored", "p/completed/1", `p cannot be read, and was answered 200 "stored"`},
		{false, "stored", "q/completed/1", `p was answered with the event id "q/completed/1"`},
		{false, "\x1bfine", "p/completed/1", `p was answered 200 "\x1bfine"`},
	} {
		require.True(t, a.answered(a.begin(&record{unreadable: at.unreadable}), "p", at.result, at.event, ""))
		require.Contains(t, a.strange.some(), at.words)
	}
	require.Equal(t, 4, a.strange.count)
	require.Equal(t, map[string]int{"200 quarantined": 1, "200 stored": 2, "200 of another kind": 1}, a.totals().answers)
	a.forgery(sending.Answer{}, sending.ErrNoConnection)
	a.forgery(sending.Answer{Status: http.StatusUnauthorized}, nil)
	a.forgery(sending.Answer{Status: http.StatusOK, Body: []byte(`{"result":"stored"}`)}, nil)
	require.Equal(t, []int{3, 1, 5}, []int{a.forged, a.refused, a.strange.count})
}

// Large bodies are sent a few at a time.
func TestSenderBoundsBytes(t *testing.T) {
	t.Parallel()
	cfg := testConfig()
	require.Equal(t, maxConns, cap(newSender(newPlan(cfg, ""), newAccount()).slots))
	cfg.Bytes.Most = maxBody
	require.Equal(t, 2, cap(newSender(newPlan(cfg, ""), newAccount()).slots))
}

func FuzzMixAndRange(f *testing.F) {
	for _, text := range []string{"completed=8,failed=1", "a", "=1", "a=0", "a=b=2", "1KiB-64KiB", "0", "5-2", ",", "64MiB", "1000000000000"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		random := rand.New(rand.NewPCG(1, 2))
		var m Mix
		if m.UnmarshalText([]byte(text)) == nil {
			require.NotEmpty(t, m)
			require.NotEmpty(t, m.pick(random))
		}
		var r Range
		if r.UnmarshalText([]byte(text)) == nil {
			for range 10 {
				n := r.pick(random)
				require.True(t, n >= r.Least && n <= r.Most && n <= maxBody, "%v: %d", r, n)
			}
		}
	})
}
