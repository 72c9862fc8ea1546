package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"github.com/hookspan/hookspan/cmd/internal/rig"
)

// draining has a NATS server come back to a bridge that has spooled meanwhile, and a
// client store the same in batches.
func draining() scenario {
	const events = 20_000
	syncs := []string{"2m", "always"} // sync_interval of the server: the default, and before each acknowledgement
	return scenario{
		name: "drain", title: "Draining the spool",
		begin: func(_ *bench, r *rig.Rig) (groups [][]way) {
			p := r.NewPool(events, failedWebhook())
			for _, sync := range syncs {
				groups = append(groups, []way{{sync, func(r *rig.Rig) metrics {
					server := r.StartNATS(rig.NATSConfig{Sync: sync})
					bridge := startBridge(r, rig.BridgeConfig{NATS: rig.ExternalNATS(server.URL)})
					untilDirect(r, bridge)
					js := rig.Must(jetstream.New(server.Connect()))
					like := lastStored(r, js, rig.EventsStream, rig.EventsPrefix+">")
					p.Renew(events)
					batches := batchRate(r, js, like.all(p))
					return metrics{"spool": drainRate(r, server, bridge, js, p), "batches": batches}
				}}})
			}
			return groups
		},
		report: func(_ *bench, d data, s *section) {
			s.text = fmt.Sprintf("A NATS server in a process of its own, reached over TCP, is away while `hookspan serve` takes %d webhooks into its spool, and then is there again. The rate is that at which the events come into the stream, without the first fifth. "+
				"**batches** are as many messages as atomic batches of a thousand by a plain client, one behind the other, into the same stream just before.", events)
			s.head = []string{" `sync_interval` there", "spool, events/s", "batches, events/s", "spool to batches"}
			for _, sync := range syncs {
				s.row(sync, integer(d.of(sync+" spool")), integer(d.of(sync+" batches")), percent(d.ratio(sync+" spool", sync+" batches")))
			}
			s.atLeast(10_000, d.of("2m spool"), perSecond, "draining the spool into a stream that does not sync each message: at least 10,000 events a second")
			s.atLeast(0.8, d.ratio("always spool", "always batches"), percent, "draining the spool into a stream that syncs: at least 80 % of what batches reach there")
		},
	}
}

// drainRate has the bridge spool the webhooks of a pool, and returns how many a second
// come into the stream once the server is there again.
func drainRate(r *rig.Rig, server *rig.NATS, bridge *rig.Bridge, js jetstream.JetStream, p *rig.Pool) float64 {
	before := rig.StreamInfo(r.Context(), js).State.LastSeq
	server.MustStop()
	p.Renew(p.Count)
	workers, hangUp := p.Senders(r.Context(), bridge.Webhooks, 256, rig.Safe)
	defer hangUp()
	if _, err := rig.Load(r.Context(), workers, p, rig.Window{Measured: time.Hour}); err != nil {
		rig.Check(bridge.Explain(err))
	}
	server.Start()
	var from, last uint64
	var begin time.Time
	rig.Check(r.Until("the spool is empty", patience, 2*time.Millisecond, func(ctx context.Context) bool {
		stream, err := js.Stream(ctx, rig.EventsStream)
		if err != nil {
			return false // the server is not there again
		}
		last = stream.CachedInfo().State.LastSeq - before
		if begin.IsZero() && last >= uint64(p.Count)/5 {
			from, begin = last, time.Now()
		}
		return last >= uint64(p.Count)
	}))
	return float64(last-from) / time.Since(begin).Seconds()
}

// batchRate stores messages as atomic batches, and returns how many a second.
func batchRate(r *rig.Rig, js jetstream.JetStream, msgs []*nats.Msg) float64 {
	const size = 1000 // the most that the server takes
	stream := rig.Must(js.Stream(r.Context(), rig.EventsStream))
	config := stream.CachedInfo().Config
	config.AllowAtomicPublish = true
	rig.Must(js.UpdateStream(r.Context(), config))
	begin := time.Now()
	for from := 0; from < len(msgs); from += size {
		rig.Check(commit(r.Context(), js.Conn(), msgs[from:min(from+size, len(msgs))]))
	}
	return float64(len(msgs)) / time.Since(begin).Seconds()
}

// commit stores the messages as one batch, all or none.
func commit(ctx context.Context, nc *nats.Conn, msgs []*nats.Msg) error {
	id := nuid.Next()
	for i, m := range msgs {
		m.Header.Set("Nats-Batch-Id", id)
		m.Header.Set("Nats-Batch-Sequence", strconv.Itoa(i+1))
		if i < len(msgs)-1 {
			if err := nc.PublishMsg(m); err != nil {
				return fmt.Errorf("publishing a batch: %w", err)
			}
			continue
		}
		m.Header.Set("Nats-Batch-Commit", "1")
		answer, err := nc.RequestMsgWithContext(ctx, m)
		if err != nil {
			return fmt.Errorf("committing a batch: %w", err)
		}
		var ack struct{ Count int }
		if err := json.Unmarshal(answer.Data, &ack); err != nil || ack.Count != len(msgs) {
			return errors.Join(fmt.Errorf("a batch was answered %q", answer.Data), err)
		}
	}
	return nil
}
