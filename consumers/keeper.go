package consumers

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
)

const (
	// keepEvery is how long a durable that somebody changed or removed goes
	// unnoticed, and keepRetry spaces the looks at one that cannot be reached.
	keepEvery = 30 * time.Second
	keepRetry = 5 * time.Second
)

// KeeperConfig of a [Keeper].
type KeeperConfig struct {
	Durable Durable
	// VerifyOnly tells what differs and changes nothing.
	VerifyOnly bool
	// Alarms are told of what somebody did to the durable.
	Alarms bridge.Alarmer
	// Logger nil logs nothing.
	Logger *zap.Logger
}

// Keeper keeps the durable of a consumer whose events another program handles, in
// whatever language: it makes it what it is to be, and again from time to time.
type Keeper struct {
	js      jetstream.JetStream
	cfg     KeeperConfig
	durable Durable
	log     *zap.Logger

	// Of Run alone.
	bound binding
	every time.Duration
}

// NewKeeper checks cfg and returns a keeper that does nothing yet. The error names
// the field that cannot be used.
func NewKeeper(js jetstream.JetStream, cfg KeeperConfig) (*Keeper, error) {
	durable, err := cfg.Durable.complete()
	if err != nil {
		return nil, err
	}
	if js == nil || cfg.Alarms == nil {
		return nil, fmt.Errorf("consumer %s: a JetStream context and alarms are required", durable.Name)
	}
	if cfg.Logger == nil {
		cfg.Logger = zap.NewNop()
	}
	return &Keeper{
		js: js, cfg: cfg, durable: durable, every: keepEvery,
		log: cfg.Logger.Named("consumer").With(zap.String("consumer", durable.Name)),
	}, nil
}

// Run keeps the durable until ctx ends, and returns nil then. A server that cannot
// be reached, and a durable that cannot be used, are logged and tried again. It
// returns an error when the connection was closed for good. Run can be called once.
func (k *Keeper) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		wait := k.every
		if err := k.look(ctx); err != nil && ctx.Err() == nil {
			if k.js.Conn().IsClosed() {
				return fmt.Errorf("keeping durable %s: %w", k.durable.Name, nats.ErrConnectionClosed)
			}
			wait = min(wait, keepRetry)
			if errors.Is(err, ErrDamaged) {
				k.raise(bridge.AlarmDurableDamaged, "nothing is delivered: "+err.Error())
			}
			k.log.Error("the durable cannot be kept, trying again", zap.Duration("in", wait), zap.Error(err))
		}
		pause(ctx, wait)
	}
	return nil
}

func (k *Keeper) look(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, bindTimeout)
	defer cancel()
	if k.cfg.VerifyOnly {
		return k.verify(ctx)
	}
	known := k.bound.first > 0
	durable, change, err := k.durable.keep(ctx, k.js, &k.bound, k.log)
	if err != nil {
		return err
	}
	if known { // before that it is we who make it what it is to be
		k.tell(change)
	}
	// What is acknowledged need not come again should somebody remove the durable; an
	// operator may also have set it back.
	k.bound.first = durable.CachedInfo().AckFloor.Stream + 1
	return nil
}

// verify is said to fail when the durable is not as it is to be: it is looked at
// again soon, since somebody should be at work on it.
func (k *Keeper) verify(ctx context.Context) error {
	err := k.durable.Verify(ctx, k.js)
	switch {
	case errors.Is(err, ErrMissing):
		k.raise(bridge.AlarmConsumerRemoved, "there is no such durable, and nothing is delivered: create it with hookspan provision")
	case errors.Is(err, ErrDiffers):
		k.raise(bridge.AlarmConsumerChanged, "the durable is not what the configuration says, change it with hookspan provision: "+err.Error())
	}
	return err
}

func (k *Keeper) tell(change Change) {
	switch {
	case change.Created:
		k.raise(bridge.AlarmConsumerRemoved, "somebody removed the durable; it was made again, and events that it had delivered may come again")
	case len(change.Differences) > 0:
		k.raise(bridge.AlarmConsumerChanged, "somebody changed the durable, it was changed back: "+strings.Join(change.Differences, "; "))
	}
}

func (k *Keeper) raise(kind, text string) {
	k.cfg.Alarms.Raise(bridge.Alarm{Kind: kind, Subject: k.durable.Name, Text: k.durable.Name + ": " + text})
}
