package confirmer

import (
	"context"
	"fmt"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/lasting"
	"github.com/hookspan/hookspan/internal/backoff"
)

// leftEvery is how often it is looked for deliveries that nobody asks about.
const leftEvery = 10 * time.Minute

// watchLeft raises an alarm while deliveries wait of a source that the configuration does not have any
// more, or whose deliveries count by themselves now.
func (c *Confirmer) watchLeft(ctx context.Context) {
	waiting := lasting.New(c.cfg.Alarms)
	for ctx.Err() == nil {
		left, err := c.left(ctx)
		if err == nil {
			waiting.Look(left...)
		} else if ctx.Err() == nil {
			c.cfg.Logger.Warn("it is not known whether deliveries wait that nobody asks the provider about", zap.Error(err))
		}
		backoff.Sleep(ctx, leftEvery)
	}
}

func (c *Confirmer) left(ctx context.Context) (out []bridge.Alarm, err error) {
	stream, err := c.js.Stream(ctx, c.cfg.Names.UnconfirmedStream())
	if err != nil {
		return nil, fmt.Errorf("looking up the stream of unconfirmed deliveries: %w", err)
	}
	durables := stream.ListConsumers(ctx)
	for info := range durables.Info() {
		name, ours := strings.CutPrefix(info.Name, durablePrefix)
		waits := info.NumPending + uint64(max(0, info.NumAckPending)) //nolint:gosec // not negative
		if _, asked := c.cfg.Sources[name]; !ours || asked || waits == 0 {
			continue
		}
		out = append(out, bridge.Alarm{
			Kind: bridge.AlarmLeftBehind, Subject: info.Name, Over: "no webhook of " + name + " waits any more to be confirmed",
			Text:    fmt.Sprintf("webhooks of source %s wait until the provider has confirmed them, %d now, and nobody asks it: put the source with its api.key back into the configuration until they are confirmed", name, waits),
			Details: map[string]any{"source": name, "waiting": waits},
		})
	}
	if err := durables.Err(); err != nil {
		return nil, fmt.Errorf("listing the durables of unconfirmed deliveries: %w", err)
	}
	return out, nil
}
