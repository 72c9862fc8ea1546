package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/natstest"
)

var redriven = flag.Int("redriven", 1500, "how many dead letters TestRedriveThatIsKilledAndCancelledAddsUp gives back")

// fillDead stores dead letters of consumer team, as package consumers does.
func fillDead(t *testing.T, js jetstream.JetStream, n int) {
	t.Helper()
	names := bridge.Names{}
	for i := range n {
		ev := natstest.Event("pred_" + strconv.Itoa(i))
		subject := names.SubjectOf(ev)
		dead := bridge.DeadLetter{Consumer: "team", Cause: bridge.DeadPermanent, Fault: bridge.FaultFailed, Error: "broken", Attempts: 1, Subject: subject}
		header := dead.Header(ev.Header())
		header.Set(bridge.HeaderMsgID, dead.ID(ev.ID))
		_, err := js.PublishMsgAsync(&nats.Msg{Subject: names.Dead("team", subject), Header: nats.Header(header), Data: ev.Body})
		require.NoError(t, err)
		if i%1000 == 999 || i == n-1 {
			select {
			case <-js.PublishAsyncComplete():
			case <-time.After(patience):
				t.Fatal("the dead letters were not stored")
			}
		}
	}
}

func messages(t *testing.T, js jetstream.JetStream, stream string) int {
	t.Helper()
	s, err := js.Stream(t.Context(), stream)
	require.NoError(t, err)
	return int(s.CachedInfo().State.Msgs)
}

func (p *program) job(id string) (job adminapi.Job) {
	p.t.Helper()
	p.verb(&job, "jobs", "show", id)
	return job
}

// untilJob waits for a job of which holds is true.
func (p *program) untilJob(id string, holds func(adminapi.Job) bool) (job adminapi.Job) {
	p.t.Helper()
	require.Eventually(p.t, func() bool { job = p.job(id); return holds(job) }, 2*patience, 20*time.Millisecond, p.logs)
	return job
}

func requireSum(t *testing.T, job adminapi.Job) {
	t.Helper()
	sum := job.Left
	for _, n := range job.Outcomes {
		sum += n
	}
	require.Equal(t, job.Total, sum, job)
}

// A redrive of thousands whose process is killed, and then the one that took it over, whose NATS
// restarts, and that is cancelled in the end, adds up; the next one does the rest. Each event is given once, and no
// dead letter stays.
func TestRedriveThatIsKilledAndCancelledAddsUp(t *testing.T) {
	t.Parallel()
	letters := *redriven
	x := natstest.NewExternal(t, nil)
	x.Start()
	config := fmt.Sprintf(`
admin: {listen: "127.0.0.1:0"}
ingress: {listen: "127.0.0.1:0"}
nats: {url: %q, events: {max_bytes: 2GiB}}
consumers: {archive: {enabled: false}, team: {kind: pull}}
`, x.URL())
	dirs := map[string]string{}
	begin := func(name string) *program {
		if dirs[name] == "" {
			dirs[name] = t.TempDir()
		}
		return serve(t, dirs[name], config)
	}
	first := begin("first")
	nc, err := nats.Connect(x.URL())
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		_, err := js.Consumer(t.Context(), "HOOKSPAN_EVENTS", "team")
		return err == nil
	}, patience, 20*time.Millisecond, first.logs)
	fillDead(t, js, letters)

	var job adminapi.Job
	begun := func(p *program, rate string) adminapi.Job {
		t.Helper()
		code, _, stderr := interrupt(t, "", "of "+strconv.Itoa(letters), "dead", "redrive", "--all", "--rate", rate, "--yes", "--api", p.ready.Admin)
		require.Equal(t, 1, code)
		require.Contains(t, stderr, "goes on")
		var list adminapi.JobList
		p.verb(&list, "jobs", "list")
		require.Len(t, list.Jobs, 1)
		return list.Jobs[0]
	}
	job = begun(first, strconv.Itoa(min(letters*3/40, 2000)))
	second := begin("second")
	job = first.untilJob(job.ID, func(job adminapi.Job) bool { return job.Outcomes["given"] > letters/20 })
	requireSum(t, job)
	first.kill()
	killed := second.job(job.ID)
	taken := second.untilJob(job.ID, func(now adminapi.Job) bool {
		return now.Process != killed.Process && now.Outcomes["given"] > killed.Outcomes["given"]
	})
	requireSum(t, taken)
	second.kill()
	second = begin("second") // and goes on with its own at once
	job = second.untilJob(job.ID, func(now adminapi.Job) bool { return now.Outcomes["given"] > taken.Outcomes["given"] })
	x.Stop() // and waits for NATS
	x.Start()
	require.Eventually(t, nc.IsConnected, patience, 20*time.Millisecond)
	before := job.Outcomes["given"]
	require.Eventually(t, func() bool {
		code, stdout, _ := runVerb("--json", "jobs", "show", job.ID, "--api", second.ready.Admin)
		return code == exitDone && json.Unmarshal([]byte(stdout), &job) == nil && job.Outcomes["given"] > before+100
	}, 2*patience, 50*time.Millisecond, second.logs)
	requireSum(t, job)

	for range 2 {
		require.Contains(t, second.says("jobs", "cancel", job.ID), job.ID)
	}
	job = second.untilJob(job.ID, func(job adminapi.Job) bool { return job.State.Ended() })
	require.Equal(t, adminapi.JobCancelled, job.State)
	require.Equal(t, letters, job.Total)
	require.Positive(t, job.Left)
	require.Equal(t, map[string]int{"given": letters - job.Left}, job.Outcomes)
	require.Equal(t, job.Left, messages(t, js, "HOOKSPAN_DEAD"))
	require.Contains(t, second.says("jobs", "show", job.ID), "cancelled")

	var plan adminapi.RedeliveryReport
	require.Eventually(t, func() bool { // a busy machine counts too few within the time of a call
		code, stdout, _ := runVerb("--json", "dead", "redrive", "--consumer", "team", "--dry-run", "--api", second.ready.Admin)
		return code == exitDone && json.Unmarshal([]byte(stdout), &plan) == nil
	}, 2*patience, time.Second, second.logs)
	require.Equal(t, job.Left, plan.Given)
	var rest adminapi.RedeliveryReport
	second.verb(&rest, "dead", "redrive", "--consumer", "team", "--rate", "5000", "--yes")
	require.Equal(t, job.Left, rest.Given)
	require.Zero(t, messages(t, js, "HOOKSPAN_DEAD"))

	given := map[string]int{}
	stream, err := js.Stream(t.Context(), "HOOKSPAN_EVENTS")
	require.NoError(t, err)
	require.EqualValues(t, letters, stream.CachedInfo().State.Msgs)
	c, err := js.OrderedConsumer(t.Context(), "HOOKSPAN_EVENTS", jetstream.OrderedConsumerConfig{})
	require.NoError(t, err)
	it, err := c.Messages()
	require.NoError(t, err)
	defer it.Stop()
	for range letters {
		m, err := it.Next()
		require.NoError(t, err)
		require.True(t, strings.HasPrefix(m.Subject(), "hookspan.again.team."), m.Subject())
		given[m.Headers().Get("ce-id")]++
	}
	require.Len(t, given, letters)
	require.Equal(t, exitDone, second.stop())
}

// Verbs that work on many are jobs: an operator sees them, and what they did adds up. A drop
// says how many it expects.
func TestVerbsOnManyAreJobs(t *testing.T) {
	t.Parallel()
	p := serveHere(t, strings.Replace(smallConfig, "archive: {enabled: false}",
		`archive: {enabled: false}, team: {kind: exec, command: ["/bin/sh", "-c", "exit 65"], start: all}`, 1))
	const n = 3
	for i := range n {
		p.post(fmt.Sprintf(`{"id":"pred_%d","status":"failed"}`, i))
	}
	require.Eventually(t, func() bool { return p.state("team").Dead == n }, patience, 20*time.Millisecond, p.logs)
	require.Equal(t, "3 looked at: 3 given again, 0 were handled since\n", p.says("events", "replay", "--consumer", "team", "--yes"))
	require.Contains(t, p.says("dead", "drop", "--all", "--dry-run"), "would be dropped")
	require.Equal(t, "3 looked at, 3 dropped\n", p.says("dead", "drop", "--consumer", "team", "--cause", "permanent", "--yes"))
	require.Equal(t, "0 looked at: 0 became events, 0 were events already\n", p.says("quarantine", "reverify"))

	var list adminapi.JobList
	p.verb(&list, "jobs", "list", "--limit", "2")
	require.Len(t, list.Jobs, 2)
	require.NotEmpty(t, list.Next)
	require.Equal(t, adminapi.JobReverify, list.Jobs[0].Kind)
	require.Equal(t, adminapi.JobDropDead, list.Jobs[1].Kind)
	require.Equal(t, map[string]int{"dropped": n}, list.Jobs[1].Outcomes)
	require.Contains(t, string(list.Jobs[1].Call), `"expect":3`)
	require.Equal(t, adminapi.Loopback, list.Jobs[1].By)
	var audit adminapi.AuditList
	require.Eventually(t, func() bool {
		res, err := http.Get(p.ready.Admin + "/api/v1/audit?limit=2")
		require.NoError(t, err)
		defer func() { _ = res.Body.Close() }()
		require.NoError(t, json.NewDecoder(res.Body).Decode(&audit))
		return audit.Changes[0].Route == "END /jobs/:id"
	}, patience, 20*time.Millisecond)
	require.Equal(t, "POST /jobs", audit.Changes[1].Route)
	for _, change := range audit.Changes {
		require.Equal(t, "/jobs/"+list.Jobs[0].ID, change.Path)
		require.Equal(t, adminapi.Loopback, change.Who)
	}
	p.verb(&list, "jobs", "list", "--cursor", list.Next)
	require.Len(t, list.Jobs, 1)
	require.Equal(t, adminapi.JobReplay, list.Jobs[0].Kind)
	require.Empty(t, list.Next)
	require.Contains(t, p.says("jobs", "list"), "drop_dead")
	require.Contains(t, p.says("jobs", "show", list.Jobs[0].ID), "3 given")
	require.Contains(t, p.says("jobs", "cancel", list.Jobs[0].ID), "it is done")
	for wrong, code := range map[string]int{
		"jobs show nothing": 1, "jobs cancel abcdefghijklmnopqrstuvwxyz": 1, "jobs list --cursor x": 1, "jobs list --limit 0": 1,
		"dead redrive --all --consumer team": 2, "dead drop --all --seq 1": 2,
	} {
		got, _, stderr := runVerb(append(strings.Fields(wrong), "--api", p.ready.Admin)...)
		require.Equal(t, code, got, wrong+stderr)
	}
}
