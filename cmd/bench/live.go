package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/hookspan/hookspan/cmd/internal/rig"
)

// besideLive is how much of the throughput must be left beside live streams.
const besideLive = 0.95

func watched() scenario {
	const (
		streams = 50
		conns   = 64
	)
	return scenario{
		name: "live", title: "Beside live streams",
		begin: func(b *bench, r *rig.Rig) [][]way {
			w := rig.Window{Warm: 2 * b.warm, Measured: 2 * b.time}
			p := closedPool(r, w)
			load := func(bridge *rig.Bridge) metrics {
				p.Renew(p.Count)
				before, begin := bridge.ProcessorOfAll(), time.Now()
				m := sampleMetrics(bridge.Load(conns, p, w))
				m["processor"] = (bridge.ProcessorOfAll() - before).Seconds() / time.Since(begin).Seconds()
				return m
			}
			beside := func(r *rig.Rig, path string) metrics {
				bridge := startBridge(r, rig.BridgeConfig{})
				all := openLive(r, bridge, streams, path)
				begin := time.Now()
				m := load(bridge)
				m["told"] = float64(all.bytes.Load()) / time.Since(begin).Seconds() / streams / 1024
				rig.Check(all.close())
				return m
			}
			return [][]way{{
				{"quiet", func(r *rig.Rig) metrics { return load(startBridge(r, rig.BridgeConfig{})) }},
				{"live", func(r *rig.Rig) metrics { return beside(r, "/api/v1/events/live") }},
				{"rows", func(r *rig.Rig) metrics { return beside(r, "/live/rows?rate=20") }},
				{"pages", func(r *rig.Rig) metrics {
					bridge := startBridge(r, rig.BridgeConfig{})
					sendOne(r, bridge)
					all := openStartPages(r, bridge, streams)
					m := load(bridge)
					rig.Check(all.close())
					return m
				}},
			}}
		},
		report: func(_ *bench, d data, s *section) {
			s.head = []string{" way", "events/s", "p50 ms", "p99 ms", "processors"}
			for _, w := range []struct{ name, title string }{{"quiet", "no live stream"}, {"live", "50 live streams"}, {"rows", "50 open Live pages"}, {"pages", "50 open start pages"}} {
				s.row(w.title, integer(d.of(w.name+" events/s")), once("%.2f")(d.of(w.name+" p50-ms")), once("%.2f")(d.of(w.name+" p99-ms")), once("%.2f")(d.of(w.name+" processor")))
			}
			s.row("KiB a second to each of the 50 streams, pages", once("%.0f")(d.of("live told"))+", "+once("%.0f")(d.of("rows told")), "", "", "")
			s.atLeast(besideLive, d.ratio("live events/s", "quiet events/s"), percent, "64 connections: 50 live streams leave at least 95 % of the throughput without any")
			s.atLeast(besideLive, d.ratio("rows events/s", "quiet events/s"), percent, "the same beside 50 open Live pages of the console")
			s.atLeast(besideLive, d.ratio("pages events/s", "quiet events/s"), percent, "the same beside 50 open start pages of the console")
		},
	}
}

// liveStreams are connections that read everything that they are told.
type liveStreams struct {
	conns []net.Conn
	group errgroup.Group
	bytes atomic.Int64
}

// openLive reads n streams of a path. It returns when all are told what is stored from now on.
func openLive(r *rig.Rig, bridge *rig.Bridge, n int, path string) *liveStreams {
	all := &liveStreams{}
	host := strings.TrimPrefix(bridge.Admin, "http://")
	for range n {
		conn := rig.Must((&net.Dialer{}).DialContext(r.Context(), "tcp", host))
		all.conns = append(all.conns, conn)
		rig.Must(fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", path, host))
		all.group.Go(func() error {
			buffer := make([]byte, 64<<10)
			for {
				n, err := conn.Read(buffer)
				all.bytes.Add(int64(n))
				if errors.Is(err, net.ErrClosed) {
					return nil
				}
				if errors.Is(err, io.EOF) {
					return errors.New("a live stream was ended that was read")
				}
				if err != nil {
					return err
				}
			}
		})
	}
	untilMetric(r, bridge, "hookspan_live_clients", float64(n))
	return all
}

func (s *liveStreams) close() error {
	for _, conn := range s.conns {
		_ = conn.Close() // the error of its reader counts
	}
	return s.group.Wait()
}
