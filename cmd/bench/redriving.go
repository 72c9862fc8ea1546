package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/cmd/internal/rig"
	"github.com/hookspan/hookspan/internal/adminapi"
)

func redriving() scenario {
	const (
		rate    = 200
		conns   = 32
		redrive = 2000 // a second
		letters = 30_000
		// times as long as other loads of a fixed rate; the job takes longer than that
		longer = 2
	)
	return scenario{
		name: "redrive", title: "Beside a redrive",
		begin: func(b *bench, r *rig.Rig) [][]way {
			w := b.steady()
			w.Measured *= longer
			p := openPool(r, rate, w)
			measure := func(r *rig.Rig, use func(bridge *rig.Bridge)) metrics {
				data := r.Path("data")
				deadLetters(r, data, letters)
				bridge := startBridge(r, rig.BridgeConfig{Data: data, More: deadTeam})
				p.Renew(p.Count)
				use(bridge)
				took := bridge.OpenLoop(conns, rate, p, w)
				return metrics{"p50": inMs(rig.Percentile(took, 50)), "p99": inMs(rig.Percentile(took, 99))}
			}
			return [][]way{{
				{"quiet", func(r *rig.Rig) metrics { return measure(r, func(*rig.Bridge) {}) }},
				{"redrive", func(r *rig.Rig) metrics {
					var at *rig.Bridge
					var id string
					m := measure(r, func(bridge *rig.Bridge) {
						at, id = bridge, beginJob(r, bridge, fmt.Sprintf(`{"kind":%q,"consumer":"team","rate":%d}`, adminapi.JobRedrive, redrive))
					})
					job := untilJob(r, at, id, func(adminapi.Job) bool { return true })
					given := job.Outcomes[adminapi.OutcomeGiven]
					if given == 0 || given == letters {
						rig.Check(fmt.Errorf("%d of %d dead letters were given back while webhooks were measured", given, letters))
					}
					m["rate"] = job.PerSecond
					job = untilJob(r, at, id, func(job adminapi.Job) bool { return job.State.Ended() })
					if job.Outcomes[adminapi.OutcomeGiven] != letters {
						rig.Check(fmt.Errorf("the redrive did not give all back: %+v", job))
					}
					return m
				}},
			}}
		},
		report: func(_ *bench, d data, s *section) {
			s.head = []string{" way", "p50 ms", "p99 ms", "given back a second"}
			s.row("no redrive", decimal(d.of("quiet p50")), decimal(d.of("quiet p99")), "")
			s.row("a redrive at 2,000 a second", decimal(d.of("redrive p50")), decimal(d.of("redrive p99")), integer(d.of("redrive rate")))
			s.under(2, d.ratio("redrive p99", "quiet p99"), times, "200 webhooks a second beside a redrive at 2,000 a second: p99 under twice the quiet one")
			s.atLeast(0.95*redrive, d.of("redrive rate"), perSecond, "that redrive gives back at least 1,900 a second")
		},
	}
}

// deadTeam is the configuration of a consumer that some other program reads.
const deadTeam = `consumers: {team: {kind: pull}}`

// deadLetters makes the folder of a bridge whose consumer team gave up on so many events.
func deadLetters(r *rig.Rig, data string, n int) {
	p := r.NewPool(n, failedWebhook())
	var like stored
	r.Within("made", func(r *rig.Rig) {
		bridge := startBridge(r, rig.BridgeConfig{Data: data, More: deadTeam})
		sendOne(r, bridge)
		js := rig.Must(jetstream.New(bridge.Connect()))
		rig.Check(r.Until("the event is in the stream", patience, 10*time.Millisecond, func(ctx context.Context) bool {
			return rig.StreamInfo(ctx, js).State.Msgs > 0
		}))
		like = lastStored(r, js, rig.EventsStream, rig.EventsPrefix+"prediction.>")
	})
	p.Renew(n)
	openStore(r, data, func(js jetstream.JetStream) {
		publishDead(r, js, like, n, func(i int) (string, bridge.DeadLetter) {
			return p.ID(i), bridge.DeadLetter{Consumer: "team", Cause: bridge.DeadPermanent, Error: "422"}
		})
	})
}

// publishDead publishes n dead letters of events that are like the one. Letter returns the
// prediction of each, and who gave up on it and why.
func publishDead(r *rig.Rig, js jetstream.JetStream, like stored, n int, letter func(i int) (prediction string, d bridge.DeadLetter)) {
	names := bridge.Names{}
	for i := range n {
		id, d := letter(i)
		m := like.with(id)
		d.Fault, d.Attempts, d.Subject = bridge.FaultFailed, 1, m.Subject
		header := d.Header(bridge.Header(m.Header))
		header[bridge.HeaderMsgID] = []string{d.ID(id)}
		rig.Must(js.PublishMsgAsync(&nats.Msg{Subject: names.Dead(d.Consumer, m.Subject), Header: nats.Header(header), Data: m.Data}, jetstream.WithStallWait(time.Minute)))
	}
	select {
	case <-js.PublishAsyncComplete():
	case <-r.Context().Done():
	}
}

// beginJob begins a job by the API, and returns its id.
func beginJob(r *rig.Rig, bridge *rig.Bridge, call string) string {
	request := rig.Must(http.NewRequestWithContext(r.Context(), http.MethodPost, bridge.Admin+"/api/v1/jobs", bytes.NewReader([]byte(call))))
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	rig.Check(err)
	defer func() { _ = response.Body.Close() }()
	body := rig.Must(io.ReadAll(response.Body))
	if response.StatusCode != http.StatusOK {
		rig.Check(fmt.Errorf("beginning a job: %s %s", response.Status, body))
	}
	var job adminapi.Job
	rig.Check(json.Unmarshal(body, &job))
	return job.ID
}

// untilJob waits for a job of which holds is true.
func untilJob(r *rig.Rig, bridge *rig.Bridge, id string, holds func(adminapi.Job) bool) (job adminapi.Job) {
	rig.Check(r.Until("the job", patience, 20*time.Millisecond, func(context.Context) bool {
		job = adminapi.Job{}
		rig.Check(json.Unmarshal(r.Get(bridge.Admin+"/api/v1/jobs/"+id), &job))
		return holds(job)
	}))
	return job
}
