package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"
)

// kills is how often a process is killed: enough to meet it in different moments.
func (l *lab) kills() int { return min(max(l.events/5000, 3), 15) }

// uptime is how long the bridge runs at least between two faults. A webhook that
// came just as it died is tried again within this time, so that the sender abandons
// none unless a restart takes longer than all its gaps.
func (l *lab) uptime() time.Duration { return newSchedule(l.faster).sum() }

func killBridge(ctx context.Context, l *lab) error {
	b, err := l.startEmbedded(ctx, l.path("data"))
	if err != nil {
		return err
	}
	l.send(ctx)
	for kill := range l.kills() {
		if err := errors.Join(pause(ctx, l.uptime()), l.reach(ctx, float64(kill+1)/float64(l.kills()+1))); err != nil {
			return err
		}
		l.heal() // it is over as soon as it is done
		b.kill()
		if b, err = l.startEmbedded(ctx, l.path("data")); err != nil {
			return err
		}
		if err := l.book.waitRecovered(ctx); err != nil {
			return err
		}
	}
	l.note("killed %d times; the time to a 200 is the longest, with the start", l.kills())
	return l.settleAndAudit(ctx, b)
}

// settleAndAudit ends a fault of a bridge with its own NATS.
func (l *lab) settleAndAudit(ctx context.Context, b *hookspan) error {
	if err := l.settle(ctx); err != nil {
		return err
	}
	nc, err := b.connect(ctx)
	if err != nil {
		return err
	}
	return l.audit(ctx, nc)
}

// secondTimeout is how soon a second process must have seen that it is one.
const secondTimeout = 20 * time.Second

func secondProcess(ctx context.Context, l *lab) error {
	b, err := l.startEmbedded(ctx, l.path("data"))
	if err != nil {
		return err
	}
	l.send(ctx)
	const tries = 3
	for try := range tries {
		if err := l.reach(ctx, float64(try+1)/(tries+1)); err != nil {
			return err
		}
		if err := l.startSecond(ctx); err != nil {
			return err
		}
	}
	if !b.alive() {
		l.wrong("the first bridge has ended:\n%s", tail(b.log))
	}
	l.note("the second one refused to start, %d times", tries)
	l.heal()
	return l.settleAndAudit(ctx, b)
}

// startSecond runs another bridge on the same data folder, which must refuse.
func (l *lab) startSecond(ctx context.Context) error {
	port, err := freePort()
	if err != nil {
		return err
	}
	config := l.path("second.yaml")
	if err := os.WriteFile(config, fmt.Appendf(nil, embeddedConfig, l.path("data"), port, int64(maxEvents)), 0o600); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, secondTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, l.binary, "--json", "serve", "--config", config)
	cmd.Env = []string{secretEnv + "=" + secret}
	out, err := cmd.CombinedOutput()
	switch exit, ok := errors.AsType[*exec.ExitError](err); {
	case err == nil, ctx.Err() != nil:
		l.wrong("a second bridge has run on the same data folder:\n%s", out)
	case !ok:
		return fmt.Errorf("starting a second bridge: %w", err)
	case exit.ExitCode() != 1 || !bytes.Contains(out, []byte(l.path("data"))):
		l.wrong("a second bridge ended with code %d, and did not name the folder:\n%s", exit.ExitCode(), out)
	}
	return nil
}
