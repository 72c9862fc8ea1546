package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/cmd/internal/rig"
	"github.com/hookspan/hookspan/internal/adminapi"
)

const (
	listedEvents = 5 * million
	listedDead   = 100_000
	deadStream   = "HOOKSPAN_DEAD"
	// listReaders is how many consumers there are besides the archive, c0 and so on.
	listReaders = 10
	// inLists is how long a list may take, in ms, from the start of the process to its end.
	inLists = 300
	// inScrape is how long a scrape may take, in ms.
	inScrape = 5
)

// listVerbs are the lists and searches of the command line. Those that match nothing or little
// look at more than the others.
var listVerbs = []string{
	"events list",
	"events list --limit 1000",
	"events list --status completed --model get3w/model-7",
	"events list --status failed",
	"predictions list",
	"predictions list --status completed --model get3w/*",
	"predictions list --open",
	"predictions list --search pred_0a",
	"predictions list --search model:*-6 source:get3w since:2h",
	"predictions list --search consumer:c0=failing",
	"predictions list --search consumer:c3=dead status:completed",
	"predictions show " + shownPrediction,
	"dead list",
	"dead list --consumer c3 --cause refused",
	"dead groups",
	"alarms",
	"consumers list",
	"quarantine list",
	"view status",
}

// shownPrediction begins what stands for the id of a prediction in a verb.
const shownPrediction = "ID"

func listing() scenario {
	const tries = 10
	return scenario{
		name: "lists", title: "Lists of five million events", rounds: 1, missing: needsSpace(12 * gib),
		begin: func(b *bench, r *rig.Rig) [][]way {
			data, filled := r.Path("data"), metrics{}
			b.progress("filling a view")
			fillView(r, data, filled)
			return alone(func(r *rig.Rig) metrics {
				m, began := filled, time.Now()
				bridge := startBridge(r, rig.BridgeConfig{Data: data, More: readers(listReaders)})
				untilCurrent(r, bridge)
				m["start"] = time.Since(began).Seconds()
				untilFolded(r, bridge, rig.EventsStream, listedEvents) // the view was taken over
				untilFolded(r, bridge, deadStream, listedDead)
				for _, verb := range listVerbs {
					var took []time.Duration
					for range tries {
						took = append(took, runVerb(r, bridge, strings.ReplaceAll(verb, shownPrediction, listedPrediction(listedEvents/4))))
					}
					m[verb+" first"], m[verb+" p50"], m[verb+" slowest"] = inMs(took[0]), inMs(rig.Percentile(took, 50)), inMs(rig.Percentile(took, 100))
					m["slowest"] = max(m["slowest"], m[verb+" slowest"])
				}
				for _, page := range consolePages {
					address := bridge.Admin + strings.ReplaceAll(page, shownPrediction, listedPrediction(listedEvents/4))
					var took []time.Duration
					for range pageTries {
						took = append(took, rig.Must(openPage(r.Context(), http.DefaultClient, address)))
					}
					m[page+" first"], m[page+" p50"], m[page+" slowest"] = inMs(took[0]), inMs(rig.Percentile(took, 50)), inMs(rig.Percentile(took, 100))
					m["page p99"] = max(m["page p99"], inMs(rig.Percentile(took, 99)))
				}
				m.add("scrape", scrape(r, bridge))
				return m
			})
		},
		report: func(_ *bench, d data, s *section) {
			s.head = []string{" verb, page", "first, ms", "p50 ms", "slowest, ms"}
			whole := once("%.0f")
			for _, verb := range listVerbs {
				s.row("`"+strings.ReplaceAll(verb, "|", `\|`)+"`", whole(d.of(verb+" first")), whole(d.of(verb+" p50")), whole(d.of(verb+" slowest")))
			}
			for _, page := range consolePages {
				s.row("`"+page+"`", whole(d.of(page+" first")), whole(d.of(page+" p50")), whole(d.of(page+" slowest")))
			}
			s.row("a scrape of the metrics: p50, p99", "", once("%.2f")(d.of("scrape p50")), once("%.2f")(d.of("scrape p99")))
			s.row("events a second into the view, when it was made", "", whole(d.of("rate")), "")
			s.row("start until the view is up to date, s", "", once("%.2f")(d.of("start")), "")
			s.under(inLists, d.of("slowest"), once("%.0f ms"), "5 million events, 100,000 dead letters: every list by the command line within 300 ms in all, the first time too")
			s.under(inPages, d.of("page p99"), once("%.0f ms"), "console pages at 5 million events, 100,000 dead letters: every page within 100 ms, p99")
			s.under(inScrape, d.of("scrape p99"), once("%.2f ms"), "a scrape of the metrics of that bridge: p99 under 5 ms")
		},
	}
}

// readers is the configuration of n consumers that other programs read.
func readers(n int) string {
	all := make([]string, n)
	for i := range all {
		all[i] = reader(i) + ": {kind: pull}"
	}
	return "consumers: {" + strings.Join(all, ", ") + "}"
}

func reader(i int) string { return "c" + strconv.Itoa(i) }

// listedPrediction is the nth id of the view that the benchmark Fill makes.
func listedPrediction(n int) string { return fmt.Sprintf("pred_%016x", uint64(n)*0x9E3779B97F4A7C15) } //nolint:gosec // positive

// fillView makes the folder of a bridge with a view of events that have left their stream, whose
// numbers go on behind them, and with dead letters of their predictions, which are not in the
// view yet. To fold that many events from a stream takes a bridge six minutes: the Go benchmark
// folds them by the same code, and writes them without a sync.
func fillView(r *rig.Rig, data string, m metrics) {
	var like stored
	r.Within("made", func(r *rig.Rig) {
		b := startBridge(r, rig.BridgeConfig{Data: data, More: readers(listReaders)})
		sendOne(r, b)
		js := rig.Must(jetstream.New(b.Connect()))
		rig.Check(r.Until("the event is in the stream", patience, 10*time.Millisecond, func(ctx context.Context) bool {
			return rig.StreamInfo(ctx, js).State.Msgs > 0
		}))
		like = lastStored(r, js, rig.EventsStream, rig.EventsPrefix+"prediction.>")
	})
	var created time.Time
	openStore(r, data, func(js jetstream.JetStream) {
		causes := []bridge.DeadCause{bridge.DeadRefused, bridge.DeadExhausted, bridge.DeadPermanent}
		publishDead(r, js, like, listedDead, func(i int) (string, bridge.DeadLetter) {
			text := fmt.Sprintf("%s: status %d", strings.Repeat("a", i%100), 500+i%50)
			return listedPrediction(i), bridge.DeadLetter{Consumer: reader(i % listReaders), Cause: causes[i%len(causes)], Error: text}
		})
		events := rig.Must(js.Stream(r.Context(), rig.EventsStream))
		rig.Check(events.Purge(r.Context(), jetstream.WithPurgeSequence(listedEvents+1)))
		info := rig.Must(events.Info(r.Context()))
		if info.State.LastSeq != listedEvents {
			rig.Check(fmt.Errorf("the stream goes on behind %d, not behind %d", info.State.LastSeq, listedEvents))
		}
		created = info.Created
	})
	view := filepath.Join(data, "view.db")
	for _, suffix := range []string{"", "-wal"} {
		if err := os.Remove(view + suffix); !errors.Is(err, fs.ErrNotExist) {
			rig.Check(err)
		}
	}
	fill := compile(r, viewPackage).way("Fill", "1x", "-view.file", view, "-view.events", strconv.Itoa(listedEvents), "-view.created", created.Format(time.RFC3339Nano))
	m["rate"] = fill.measure(r)["events/s"]
}

// untilFolded waits until the view has that many messages of a stream.
func untilFolded(r *rig.Rig, b *rig.Bridge, stream string, n uint64) {
	rig.Check(r.Until("the view has "+stream, patience, 20*time.Millisecond, func(context.Context) bool {
		var st adminapi.ViewStatus
		rig.Check(json.Unmarshal(r.Get(b.Admin+"/api/v1/view"), &st))
		return st.Streams[stream].Folded >= n
	}))
}
