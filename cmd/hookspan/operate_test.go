package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/adminapi"
)

// verb runs a verb against the bridge and reads its JSON.
func (p *program) verb(out any, args ...string) {
	p.t.Helper()
	code, stdout, stderr := runVerb(append([]string{"--json"}, append(args, "--api", p.ready.Admin)...)...)
	require.Equal(p.t, 0, code, stderr)
	reflect.ValueOf(out).Elem().SetZero() // a map would keep what it had
	require.NoError(p.t, json.Unmarshal([]byte(stdout), out), stdout)
}

// says runs a verb and returns what a person reads.
func (p *program) says(args ...string) string {
	p.t.Helper()
	code, stdout, stderr := runVerb(append(args, "--api", p.ready.Admin)...)
	require.Equal(p.t, 0, code, stderr)
	return stdout
}

func (p *program) state(name string) adminapi.ConsumerState {
	p.t.Helper()
	var list adminapi.ConsumerList
	p.verb(&list, "consumers", "list")
	for _, s := range list.Consumers {
		if s.Name == name {
			return s
		}
	}
	p.t.Fatalf("%s is not in the list", name)
	panic("unreachable")
}

// The life of a consumer for the person on call: it breaks, its dead letters are looked at, it
// is repaired, they are redriven; it is paused over a restart and resumed, set back, and given
// one event again.
func TestOperatingAConsumer(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	script := filepath.Join(dir, "consume")
	require.NoError(t, os.WriteFile(script, []byte(fmt.Sprintf(`#!/bin/sh
if [ -e %[1]s/broken ]; then echo 'no such customer' >&2; exit 65; fi
echo "$HOOKSPAN_PREDICTION_ID" >> %[1]s/handled
`, dir)), 0o700))
	put(t, dir, "broken", "")
	const config = "nats: {listen: 127.0.0.1:0}\ningress: {listen: 127.0.0.1:0}\nadmin: {listen: 127.0.0.1:0}\n" +
		"consumers: {team: {kind: exec, command: [SCRIPT], filter: {status: [completed]}, start: all}}\n"
	yaml := strings.ReplaceAll(config, "SCRIPT", script)
	p := serve(t, dir, yaml)
	handled := func() string {
		text, _ := os.ReadFile(filepath.Join(dir, "handled"))
		return strings.ReplaceAll(string(text), "\n", " ")
	}
	eventually := func(what func() bool) {
		t.Helper()
		require.Eventually(t, what, patience, 20*time.Millisecond, p.logs)
	}

	for _, id := range []string{"a", "b"} {
		status, _ := p.post(`{"id":"` + id + `","status":"completed"}`)
		require.Equal(t, 200, status)
	}
	eventually(func() bool { return p.state("team").Dead == 2 })
	require.Equal(t, "exec", p.state("team").Kind)

	var letters adminapi.DeadLetterList
	p.verb(&letters, "dlq", "list", "--consumer", "team")
	require.Len(t, letters.Letters, 2)
	require.Equal(t, bridge.DeadPermanent, letters.Letters[0].Cause)
	seq := strconv.FormatUint(letters.Letters[0].Seq, 10)
	require.Contains(t, p.says("dead", "show", seq), "no such customer")
	require.Contains(t, p.says("dead", "list"), "no such customer")
	require.Equal(t, "2 looked at: 2 would be given again, 0 were handled since\n", p.says("dead", "redrive", "--consumer", "team", "--dry-run"))

	require.NoError(t, os.Remove(filepath.Join(dir, "broken")))
	require.Equal(t, "1 looked at: 1 given again, 0 were handled since\n", p.says("dead", "redrive", "--consumer", "team", "--prediction", letters.Letters[0].Prediction))
	require.Equal(t, "1 looked at: 1 given again, 0 were handled since\n", p.says("dead", "redrive", "--seq", strconv.FormatUint(letters.Letters[1].Seq, 10), "--rate", "100"))
	eventually(func() bool { return len(handled()) == len("a b ") && p.state("team").Unsettled == 0 })
	require.Zero(t, p.state("team").Dead)
	require.Contains(t, p.says("dead", "list"), "there is none")

	require.Contains(t, p.says("consumers", "pause", "team"), "paused until it is resumed")
	require.Equal(t, 0, p.stop())
	p = serve(t, dir, yaml)
	p.post(`{"id":"c","status":"completed"}`)
	eventually(func() bool { return p.state("team").Pending == 1 && p.state("team").Waiting > 0 })
	require.NotContains(t, handled(), "c")
	require.Contains(t, p.says("consumers", "list"), "paused until it is resumed")
	require.Contains(t, p.says("consumers", "resume", "team"), "team: ")
	eventually(func() bool { return strings.HasSuffix(handled(), "c ") })

	var listed adminapi.EventList
	p.verb(&listed, "events", "list", "--prediction", "c", "--since", "1h")
	require.Len(t, listed.Events, 1)
	eventSeq := strconv.FormatUint(listed.Events[0].Seq, 10)
	require.Contains(t, p.says("events", "show", eventSeq), "completed")
	require.Contains(t, p.says("events", "list", "--limit", "1"), "there may be more")
	require.Equal(t, "1 looked at: 1 given again, 0 were handled since\n", p.says("events", "replay", "--consumer", "team", "--seq", eventSeq))
	eventually(func() bool { return strings.HasSuffix(handled(), "c c ") })

	require.Contains(t, p.says("consumers", "seek", "team", "--first", "--dry-run"), "would go")
	require.Contains(t, p.says("consumers", "seek", "team", "--seq", eventSeq), "back from event")
	eventually(func() bool { return strings.Count(handled(), "c") >= 3 })

	for wrong, why := range map[string]string{
		"consumers remove team --yes": "change it there", "consumers pause nobody": "There is no such consumer: use one of archive, team",
		"dead show 99": "no such dead letter", "events replay --consumer nobody --yes": `--consumer: there is no "nobody": use one of archive, predictions, team`,
	} {
		code, _, stderr := runVerb(append(strings.Fields(wrong), "--api", p.ready.Admin)...)
		require.Equal(t, 1, code, wrong)
		require.Contains(t, stderr, why, wrong)
	}
	for _, wrong := range []string{"consumers seek team", "consumers seek team --first --new", "dead redrive", "dead drop", "events replay", "events list --since soon", "consumers add late --start soon"} {
		code, _, stderr := runVerb(append(strings.Fields(wrong), "--api", p.ready.Admin)...)
		require.Equal(t, 2, code, wrong)
		require.NotEmpty(t, stderr, wrong)
	}

	require.Equal(t, 0, p.stop())
	p = serve(t, dir, "nats: {listen: 127.0.0.1:0}\ningress: {listen: 127.0.0.1:0}\nadmin: {listen: 127.0.0.1:0}\nconsumers: {archive: {enabled: false}}\n")
	require.Contains(t, p.says("consumers", "remove", "team", "--dry-run"), "would be removed")
	require.Contains(t, p.says("consumers", "remove", "team", "--yes"), "removed, with 0 events")
	require.NotContains(t, p.says("consumers", "list"), "team")
	code, _, stderr := runVerb("consumers", "add", "predictions", "--api", p.ready.Admin)
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "use another one")

	// A durable that is added, for the user that nats-env prints.
	require.Contains(t, p.says("consumers", "add", "mine", "--status", "completed", "--start", "all"), "mine: added, 3 events pending")
	require.Contains(t, p.says("consumers", "add", "late", "--status", "completed", "--start", "1h"), "late: added, 3 events pending")
	code, _, stderr = runVerb("consumers", "add", "mine", "--api", p.ready.Admin)
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "There is a consumer of that name")
	durable, err := p.natsEnv().Consumer(t.Context(), "HOOKSPAN_EVENTS", "mine")
	require.NoError(t, err)
	m, err := durable.Next(jetstream.FetchMaxWait(patience))
	require.NoError(t, err)
	require.NoError(t, m.TermWithReason("not mine"))
	eventually(func() bool { return p.state("mine").Dead == 1 })
	require.Contains(t, p.says("dead", "list", "--cause", "terminated"), "not mine")
}
