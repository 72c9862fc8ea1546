package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/cmd/internal/rig"
	"github.com/hookspan/hookspan/internal/sending"
)

// webhook is of a prediction that ended just now, about 1.2 kB, as the provider documents it.
func webhook(status string) sending.Webhook {
	w := sending.NewWebhook(rig.AnyID, "get3w/flux-dev", status, time.Now())
	w.Input = map[string]any{"prompt": prompt, "size": "1536x1024", "num_images": 3, "guidance_scale": 3.5, "seed": 421337, "output_format": "png"}
	return w
}

const prompt = "A lighthouse on a cliff above a stormy sea at dusk, painted in thick oil, warm light in its window, " +
	"gulls around the gallery, waves breaking white on black rocks, low clouds torn by the wind, the last red of the sun on the horizon. " +
	"No people, no boats, no text. Wide shot from the water, slightly from below, the lighthouse in the right third of the picture, visible brush strokes. " +
	"Muted blues and greys, one warm accent, the mood of an old postcard that somebody kept for years in a drawer."

func failedWebhook() sending.Webhook {
	w := webhook(bridge.StatusFailed)
	w.Error = "The model ran out of memory on the worker while it was decoding the latents of image 3 of 3; the task was tried twice on two workers " +
		"and ended in the same way. Ask for fewer or smaller pictures, or try again later. Nothing was charged for this task."
	return w
}

func completedWebhook(output string) sending.Webhook {
	w := webhook(bridge.StatusCompleted)
	w.Outputs = []string{output}
	return w
}

// closedPool has more requests than anything here answers in a window.
func closedPool(r *rig.Rig, w rig.Window) *rig.Pool {
	return r.NewPool(int((w.Warm+w.Measured).Seconds()*60_000), failedWebhook())
}

// openPool has the requests for a load of a fixed rate.
func openPool(r *rig.Rig, rate int, w rig.Window) *rig.Pool {
	return r.NewPool(rig.LoopCount(rate, w)+rate, failedWebhook())
}

// startBridge starts hookspan serve, which has to end well with the rig. Its settings are
// the default but for the deadline: a disk that hangs for a while is to be measured, and
// not to end the run.
func startBridge(r *rig.Rig, c rig.BridgeConfig) *rig.Bridge {
	c.Ingress = strings.TrimSuffix("deadline: 25s, "+c.Ingress, ", ")
	bridge := r.StartBridge(c)
	r.OnClose(func() error {
		if !bridge.Alive() {
			return nil
		}
		_, err := bridge.Stop()
		return err
	})
	return bridge
}

// untilEmpty is longer than any pool lasts.
var untilEmpty = rig.Window{Measured: time.Hour}

// sendAll has n connections send the whole pool as fast as it is answered.
func sendAll(bridge *rig.Bridge, n int, p *rig.Pool) rig.Sample {
	return bridge.Load(n, p, untilEmpty)
}

// sendOne sends one webhook, which the bridge must store.
func sendOne(r *rig.Rig, bridge *rig.Bridge) { sendAll(bridge, 1, r.NewPool(1, failedWebhook())) }

const patience = 2 * time.Minute

// settled is the least memory, in MiB, that each process has while all are left alone.
func settled(r *rig.Rig, all ...*rig.Process) []float64 {
	least := make([]float64, len(all))
	for try := range 12 {
		for i, p := range all {
			if now := resident(p); try == 0 || now < least[i] {
				least[i] = now
			}
		}
		r.Pause(settleTime / 12)
	}
	return least
}

const settleTime = 3 * time.Second

// resident and peak are the memory of a process, in MiB: now, and the most that it ever had.
func resident(p *rig.Process) float64 { return float64(p.Status().VmRSS) / mib }
func peak(p *rig.Process) float64     { return float64(p.Status().VmHWM) / mib }

// passages are when webhooks were sent and answered, and when they had an effect.
type passages struct {
	pool                    *rig.Pool
	sent, answered, reached []time.Time
}

func newPassages(p *rig.Pool) passages {
	return passages{p, make([]time.Time, p.Count), make([]time.Time, p.Count), make([]time.Time, p.Count)}
}

// send calls use with workers that send the webhooks of the pool and note the times.
func (p passages) send(bridge *rig.Bridge, n int, use func(ctx context.Context, workers []rig.Worker) error) {
	bridge.Send(n, p.pool, nil, func(ctx context.Context, workers []rig.Worker) error {
		for n, send := range workers {
			workers[n] = func(ctx context.Context, i int) error {
				p.sent[i] = time.Now()
				err := send(ctx, i)
				p.answered[i] = time.Now()
				return err
			}
		}
		return use(ctx, workers)
	})
}

// loop has n connections send the webhooks at a fixed rate.
func (p passages) loop(bridge *rig.Bridge, n, rate int, w rig.Window) {
	p.send(bridge, n, func(ctx context.Context, workers []rig.Worker) error {
		_, err := rig.OpenLoop(ctx, workers, rate, p.pool, w)
		return err
	})
}

// metrics are of the webhooks from one number to before another: "answered" is how long
// the answer took, and "sent" and "stored" are how long the effect took, from when the
// webhook was sent and from its answer.
func (p passages) metrics(from, to int) metrics {
	var answered, sent, stored []time.Duration
	for i := from; i < to; i++ {
		answered = append(answered, p.answered[i].Sub(p.sent[i]))
		sent = append(sent, p.reached[i].Sub(p.sent[i]))
		stored = append(stored, max(0, p.reached[i].Sub(p.answered[i])))
	}
	m := metrics{}
	m.add("answered", answered)
	m.add("sent", sent)
	m.add("stored", stored)
	return m
}

func sampleMetrics(s rig.Sample) metrics {
	return metrics{"events/s": s.Rate, "p50-ms": inMs(s.P50), "p99-ms": inMs(s.P99), "p99.9-ms": inMs(s.P999)}
}

// untilDirect returns once the bridge stores webhooks in NATS, not in its journal.
func untilDirect(r *rig.Rig, b *rig.Bridge) {
	p := r.NewPool(1, failedWebhook())
	conn := &rig.Conn{Addr: b.Webhooks, Timeout: rig.AnswerTimeout}
	defer conn.Close()
	rig.Check(r.Until("the bridge reaches NATS", patience, 100*time.Millisecond, func(ctx context.Context) bool {
		p.Renew(1)
		answer, err := conn.Post(ctx, p.Request(0))
		return err == nil && bytes.Contains(answer.Body, []byte(`"result":"stored"`))
	}))
}

// stored is a message that a bridge has stored, a sample of others.
type stored struct {
	msg *nats.Msg
	id  string // of its prediction
}

// lastStored returns the last message with such a subject.
func lastStored(r *rig.Rig, js jetstream.JetStream, stream, subject string) stored {
	s := rig.Must(js.Stream(r.Context(), stream))
	m := rig.Must(s.GetLastMsgForSubject(r.Context(), subject))
	// What the server has added, such as the time, would be believed of the copies.
	maps.DeleteFunc(m.Header, func(key string, _ []string) bool {
		return strings.HasPrefix(key, "Nats-") && key != jetstream.MsgIDHeader
	})
	at := bytes.Index(m.Data, []byte("pred_"))
	if at < 0 {
		rig.Check(fmt.Errorf("no prediction in %q", m.Data))
	}
	return stored{&nats.Msg{Subject: m.Subject, Header: m.Header, Data: m.Data}, string(m.Data[at:][:len(rig.AnyID)])}
}

// with is the message as it would be for another prediction.
func (s stored) with(id string) *nats.Msg {
	m := &nats.Msg{
		Subject: strings.ReplaceAll(s.msg.Subject, s.id, id), Header: maps.Clone(s.msg.Header),
		Data: bytes.ReplaceAll(s.msg.Data, []byte(s.id), []byte(id)),
	}
	for key, values := range m.Header {
		if strings.Contains(values[0], s.id) {
			m.Header[key] = []string{strings.ReplaceAll(values[0], s.id, id)}
		}
	}
	return m
}

// all are the messages for the predictions of a pool.
func (s stored) all(p *rig.Pool) []*nats.Msg {
	msgs := make([]*nats.Msg, p.Count)
	for i := range msgs {
		msgs[i] = s.with(p.ID(i))
	}
	return msgs
}

// clients are n workers that publish what a bridge would make of the requests of a pool.
func clients(js jetstream.JetStream, like stored, p *rig.Pool, n int) []rig.Worker {
	msgs := like.all(p)
	return slices.Repeat([]rig.Worker{func(ctx context.Context, i int) error {
		ack, err := js.PublishMsg(ctx, msgs[i], jetstream.WithRetryAttempts(0))
		if err == nil && ack.Duplicate {
			err = errors.New("the event was stored before")
		}
		if err != nil {
			return fmt.Errorf("publishing: %w", err)
		}
		return nil
	}}, n)
}
