package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"time"

	"github.com/hookspan/hookspan/cmd/internal/rig"
)

// kills is how often a process is killed: enough to meet it in different moments.
func (l *lab) kills() int { return min(max(l.events/5000, 3), 15) }

func killBridge(l *lab) {
	l.startEmbedded(l.Path("data"))
	l.send()
	l.crash(l.kills(), func() { l.bridge.Kill() })
	l.note("killed %d times; the time to a 200 is the longest, with the start", l.kills())
	l.end()
}

// crash has the bridge end in the given way, some times, and starts it again.
func (l *lab) crash(times int, end func()) {
	l.each(times, 0, func(int) {
		l.Pause(l.uptime())
		l.heal() // it is over as soon as it is done
		end()
		l.start()
		l.recovered()
	})
}

func secondProcess(l *lab) {
	l.startEmbedded(l.Path("data"))
	l.send()
	const tries = 3
	l.each(tries, 0, func(int) { l.startSecond() })
	l.sameProcess()
	l.note("the second one refused to start, %d times", tries)
	l.heal()
	l.end()
}

// sameProcess: the bridge must not have ended.
func (l *lab) sameProcess() {
	if !l.bridge.Alive() {
		l.wrong("the bridge has ended:\n%s", l.bridge.Tail())
	}
}

// secondTimeout is how soon a second process must have seen that it is one.
const secondTimeout = 20 * time.Second

// startSecond runs another bridge on the same data folder, which must refuse.
func (l *lab) startSecond() {
	second := l.config
	second.Name, second.Port = "second", rig.FreePort()
	ctx, cancel := context.WithTimeout(l.Context(), secondTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, l.binary, "--json", "serve", "--config", l.WriteConfig(second))
	cmd.Env = rig.SecretEnv()
	out, err := cmd.CombinedOutput()
	switch exit, ok := errors.AsType[*exec.ExitError](err); {
	case err == nil, ctx.Err() != nil:
		l.wrong("a second bridge has run on the same data folder:\n%s", out)
	case !ok:
		rig.Check(fmt.Errorf("starting a second bridge: %w", err))
	case exit.ExitCode() != 1 || !bytes.Contains(out, []byte(second.Data)):
		l.wrong("a second bridge ended with code %d, and did not name the folder:\n%s", exit.ExitCode(), out)
	}
}

// leaveTime lets the balancer ask a bridge that is being stopped some times, and
// leave it before it stops.
const leaveTime = 5 * healthEvery

func rollingRestart(l *lab) {
	n := l.StartNATS(rig.NATSConfig{})
	l.nats = n.URL
	var configs [2]rig.BridgeConfig
	var bridges [2]*rig.Bridge
	var addrs []string
	for i := range configs {
		configs[i] = rig.BridgeConfig{
			Name: fmt.Sprintf("bridge-%d", i), Port: rig.FreePort(), Log: "warn", Ingress: fmt.Sprintf("shutdown_delay: %v", leaveTime),
			NATS: rig.ExternalNATS(n.URL), More: noArchive,
		}
		bridges[i] = l.StartBridge(configs[i])
		addrs = append(addrs, bridges[i].Webhooks)
	}
	l.info()
	balancer := startBalancer(l.Rig, l.addr(), addrs)
	balancer.waitFit()
	l.send()
	const rounds = 3
	l.each(rounds*len(configs), 0, func(turn int) {
		i := turn % len(configs)
		bridges[i].MustStop()
		bridges[i] = l.StartBridge(configs[i])
		balancer.waitFit()
	})
	l.heal()
	l.note("each was restarted %d times; refused were %v", rounds, l.book.snapshot().RefusedBy)
	l.end()
}
