package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookspan/hookspan/cmd/internal/rig"
)

const million = 1_000_000

func storedMillions() scenario {
	const conns = 64
	millions := []int{0, 1, 5}
	// Room for everything, so that nothing is purged.
	room := rig.EmbeddedNATS(64 * gib)
	return scenario{
		name: "stored", title: "Millions of stored events",
		missing: needsSpace((1 + 5) * 2 * gib),
		begin: func(b *bench, r *rig.Rig) [][]way {
			p := closedPool(r, b.window())
			var ways []way
			for _, n := range millions {
				b.progress("storing %d million events", n)
				title := fmt.Sprintf("%d million", n)
				data := r.Path(title)
				rebuilt := storeMillions(r, data, room, n)
				start := func(r *rig.Rig) *rig.Bridge { return startBridge(r, rig.BridgeConfig{Data: data, NATS: room}) }
				ways = append(ways, way{title, func(r *rig.Rig) metrics {
					bridge := start(r)
					m := metrics{"start": bridge.Started.Seconds(), "memory": settled(r, bridge.Process)[0]}
					p.Renew(p.Count)
					m["rate"] = bridge.Load(conns, p, b.window()).Rate
					if rebuilt > 0 { // once
						bridge.Kill()
						m["rebuilt"], m["crashed"], rebuilt = rebuilt, start(r).Started.Seconds(), 0
					}
					return m
				}})
			}
			return [][]way{ways}
		},
		report: func(_ *bench, d data, s *section) {
			s.head = []string{"stored", "events/s", "to the empty one", "memory", "more for each million", "start, s", "start without index, s", "start after SIGKILL, s"}
			s.row("none", integer(d.of("0 million rate")), "", mibs(d.of("0 million memory")), "", decimal(d.of("0 million start")), "", "")
			for _, n := range millions[1:] {
				name := fmt.Sprintf("%d million", n)
				share := d.ratio(name+" rate", "0 million rate")
				growth := d.difference(name+" memory", "0 million memory")
				start, crashed := d.of(name+" start"), d.of(name+" crashed")
				each := func(v spread) spread { return spread{v.low / float64(n), v.median / float64(n), v.high / float64(n)} }
				s.row(name, integer(d.of(name+" rate")), percent(share), mibs(d.of(name+" memory")), mibs(each(growth)), decimal(start), once("%.2f")(d.of(name+" rebuilt")), once("%.2f")(crashed))
				s.atLeast(0.9, share, percent, name+" events stored: at least 90 % of the throughput of an empty stream")
				s.under(5*float64(n), start, seconds, name+" events stored: a restart takes less than 5 s for each million")
				s.under(5*float64(n), crashed, once("%.2f s"), name+" events stored: the same after SIGKILL")
			}
		},
	}
}

// storeMillions has a bridge make its streams, puts so many events into that of events,
// and has the server make its index of them. It returns how long that start took, in
// seconds, 0 for no events.
func storeMillions(r *rig.Rig, data, room string, n int) (rebuilt float64) {
	start := func(use func(r *rig.Rig, bridge *rig.Bridge)) {
		r.Within("made", func(r *rig.Rig) { use(r, startBridge(r, rig.BridgeConfig{Data: data, NATS: room})) })
	}
	start(func(r *rig.Rig, bridge *rig.Bridge) {
		sendOne(r, bridge)
		js := rig.Must(jetstream.New(bridge.Connect()))
		rig.Check(r.Until("the event is in the stream", patience, 10*time.Millisecond, func(ctx context.Context) bool {
			return rig.StreamInfo(ctx, js).State.Msgs > 0
		}))
	})
	if n == 0 {
		return 0
	}
	// Younger than events may get, and older than any duplicate.
	now := time.Now()
	rig.Repeat(filepath.Join(data, "nats"), n*million, now.Add(-48*time.Hour), now.Add(-24*time.Hour))
	start(func(_ *rig.Rig, bridge *rig.Bridge) { rebuilt = bridge.Started.Seconds() })
	return rebuilt
}

// ownAccount is the account of a bridge's embedded NATS that its streams lie in.
const ownAccount = "HOOKSPAN"

// openStore runs a server on the data of a bridge that does not run, without a sync for each message.
func openStore(r *rig.Rig, data string, use func(js jetstream.JetStream)) {
	r.Within("store", func(r *rig.Rig) {
		config, port := r.Path("nats.conf"), rig.FreePort()
		rig.Check(os.WriteFile(config, fmt.Appendf(nil, `listen: "127.0.0.1:%d"
accounts { %s { jetstream: enabled, users: [ { user: bench, password: bench } ] } }
jetstream { store_dir: %q, max_file_store: 64GB }
`, port, ownAccount, filepath.Join(data, "nats")), 0o600))
		server := rig.Must(rig.RunServer(config))
		r.OnClose(func() error { server.Shutdown(); server.WaitForShutdown(); return nil })
		use(rig.Must(jetstream.New(r.Connect(server.ClientURL(), nats.UserInfo("bench", "bench")))))
	})
}
