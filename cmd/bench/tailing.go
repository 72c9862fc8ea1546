package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os/exec"
	"regexp"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/hookspan/hookspan/cmd/internal/rig"
	"github.com/hookspan/hookspan/internal/adminapi"
)

func tailing() scenario {
	const (
		rate  = 2000
		conns = 64
	)
	return scenario{
		name: "tail", title: "Reading along in a shell",
		begin: func(b *bench, r *rig.Rig) [][]way {
			p := openPool(r, rate, b.steady())
			return alone(func(r *rig.Rig) metrics {
				bridge := startBridge(r, rig.BridgeConfig{})
				tail := startTail(r, bridge)
				p.Renew(p.Count)
				took := bridge.OpenLoop(conns, rate, p, b.steady())
				count := float64(rig.LoopCount(rate, b.steady()))
				tail.until(r, uint64(count))
				tail.stop()
				m := metrics{
					"answered": inMs(rig.Percentile(took, 99)), "stored": count, "printed": float64(len(tail.late)), "left out": float64(tail.leftOut),
					"processor": tail.processor.Seconds() / count * 1e6,
				}
				m.add("late", tail.late)
				return m
			})
		},
		report: func(_ *bench, d data, s *section) {
			accounted := d.paired("printed", "left out", func(a, b float64) float64 { return a + b })
			for i, stored := range d.rounds("stored") {
				d["accounted"] = append(d["accounted"], (d["printed"][i]+d["left out"][i])/stored)
			}
			s.row("events stored", integer(d.of("stored")))
			s.row("printed by `hookspan tail`", integer(d.of("printed")))
			s.row("left out, as it said", integer(d.of("left out")))
			s.row("both", integer(accounted))
			s.row("from the storing to the line, p50", ms(d.of("late p50")))
			s.row("the same, p99", ms(d.of("late p99")))
			s.row("webhooks answered, p99", ms(d.of("answered")))
			s.row("processor time of `hookspan tail` for each event stored", once("%.1f µs")(d.of("processor")))
			s.atLeast(1, spreadOf(d["accounted"]), percent, "2,000 webhooks a second: `hookspan tail` prints every event, or says that it left it out")
			s.under(3000, d.of("late p99"), wholeMs, "what it prints it prints within 3 s of the storing, p99")
		},
	}
}

// tail is a running hookspan tail.
type tail struct {
	cmd       *exec.Cmd
	readers   sync.WaitGroup
	processor time.Duration // once it has ended

	mu      sync.Mutex
	late    []time.Duration // each printed event, from when it was stored
	last    uint64          // up to which it has printed or left out everything
	leftOut uint64
}

// startTail returns once it is told of what is stored.
func startTail(r *rig.Rig, bridge *rig.Bridge) *tail {
	t := &tail{cmd: exec.CommandContext(r.Context(), r.Binary, "--json", "tail", "--config", bridge.Config)}
	t.cmd.Env = []string{}
	events, notes := rig.Must(t.cmd.StdoutPipe()), rig.Must(t.cmd.StderrPipe())
	t.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	rig.Check(t.cmd.Start())
	t.readers.Go(func() { eachLine(events, t.event) })
	t.readers.Go(func() { eachLine(notes, t.note) })
	r.OnClose(func() error {
		_ = t.cmd.Process.Kill() // fails when it has ended
		t.readers.Wait()
		return nil
	})
	untilMetric(r, bridge, "hookspan_live_clients", 1)
	return t
}

func eachLine(from io.Reader, take func(line []byte)) {
	for lines := bufio.NewScanner(from); lines.Scan(); {
		take(lines.Bytes())
	}
}

func (t *tail) event(line []byte) {
	now := time.Now()
	var v adminapi.Event
	if json.Unmarshal(line, &v) != nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.late, t.last = append(t.late, now.Sub(v.StoredAt)), max(t.last, v.Seq)
}

// leftOutNote is how hookspan tail says that it samples.
var leftOutNote = regexp.MustCompile(`up to (\d+) events between \d+ and (\d+) are left out`)

func (t *tail) note(line []byte) {
	said := leftOutNote.FindSubmatch(bytes.TrimSpace(line))
	if said == nil {
		return
	}
	n, _ := strconv.ParseUint(string(said[1]), 10, 64) // digits
	until, _ := strconv.ParseUint(string(said[2]), 10, 64)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.leftOut, t.last = t.leftOut+n, max(t.last, until)
}

// until waits until it has told of everything up to a sequence.
func (t *tail) until(r *rig.Rig, seq uint64) {
	rig.Check(r.Until("hookspan tail has told of everything", patience, 10*time.Millisecond, func(context.Context) bool {
		t.mu.Lock()
		defer t.mu.Unlock()
		return t.last >= seq
	}))
}

// stop ends it as a person does, and everything that it printed is counted.
func (t *tail) stop() {
	rig.Check(t.cmd.Process.Signal(syscall.SIGINT))
	t.readers.Wait()
	rig.Check(t.cmd.Wait(), "hookspan tail")
	t.processor = t.cmd.ProcessState.UserTime() + t.cmd.ProcessState.SystemTime()
}
