package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go"
)

// filledModels is how many models stored events have: each has a subject of its own.
const filledModels = 100

// fillFolder stores events in the folder of a rig.
func fillFolder(ctx context.Context, dir string, w webhook, count int) (err error) {
	r, err := openRig(ctx, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	return r.fill(ctx, w, count)
}

// fill stores events as the ingress would make them of webhooks like w.
func (r *rig) fill(ctx context.Context, w webhook, count int) (err error) {
	if err := allowBatches(ctx, r.bare, r.names.EventsStream()); err != nil {
		return err
	}
	p, err := newPool(min(count, mostBatch), w)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	for stored := 0; stored < count; stored += p.count {
		p.renew(min(mostBatch, count-stored))
		batch := make([]*nats.Msg, p.count)
		for i := range batch {
			e, err := r.source.Accept(delivery(p, i))
			if err != nil {
				return fmt.Errorf("reading a webhook of the pool: %w", err)
			}
			e.Model += "-" + strconv.Itoa(i%filledModels)
			batch[i] = message(r.names, e)
		}
		if err := commit(ctx, r.bare.Conn(), batch); err != nil {
			return err
		}
	}
	return nil
}
