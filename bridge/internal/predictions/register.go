package predictions

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/view"
	"github.com/hookspan/hookspan/internal/backoff"
)

const (
	// registerEvery spaces the looks at a view's position, and remindEvery the writes of one
	// that does not change.
	registerEvery, remindEvery = 10 * time.Second, time.Hour
	// viewLife is for how long the position of a view whose process is away holds events
	// back.
	viewLife = 72 * time.Hour
)

// Register writes the view's position into the bucket of polls until ctx ends, and returns
// nil: the janitor leaves the events behind it. The name is the same in every run of a process
// with the view's folder.
func Register(ctx context.Context, js jetstream.JetStream, names bridge.Names, name string, v *view.View, log *zap.Logger) error {
	var told bridge.ViewPosition
	var at time.Time
	for {
		position := v.Position()
		if position != told || time.Since(at) > remindEvery {
			if err := register(ctx, js, names, name, position); err == nil {
				told, at = position, time.Now()
			} else if ctx.Err() == nil {
				log.Debug("the view's position is not written down, trying again", zap.Error(err))
			}
		}
		if !backoff.Sleep(ctx, registerEvery) {
			return nil
		}
	}
}

func register(ctx context.Context, js jetstream.JetStream, names bridge.Names, name string, position bridge.ViewPosition) error {
	if position.Created.IsZero() {
		return nil // it has read nothing yet
	}
	raw, err := json.Marshal(position)
	if err != nil {
		return err
	}
	m := &nats.Msg{Subject: names.PollsSubject(bridge.KeyView + "." + bridge.EncodeToken(name)), Data: raw, Header: nats.Header{
		jetstream.MsgTTLHeader: {strconv.Itoa(int(viewLife.Seconds())) + "s"},
	}}
	if _, err := js.PublishMsg(ctx, m); err != nil {
		return fmt.Errorf("writing the position of the view: %w", err)
	}
	return nil
}
