package durablerepair

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge/internal/datafolder"
	"github.com/hookspan/hookspan/internal/streamread"
)

// unsettled returns the durables to settle whose streams the server has, and the rest.
func (r *Repairer) unsettled(now streamsNow) (ready, rest []*foundDurable) {
	for _, f := range r.found {
		stream, ok := now[f.stream]
		switch {
		case !ok:
			rest = append(rest, f)
		case len(f.damage) > 0 || !now.has(f.stream, f.name) || f.state.beyond(stream.State.LastSeq):
			ready = append(ready, f)
		}
	}
	return ready, rest
}

// Settle restores the durables of the streams that the server has, and records all durables.
// The next call retries what failed. It does nothing if the server does not run.
func (r *Repairer) Settle(ctx context.Context, s *server.Server) error {
	now, err := r.look(s)
	if err != nil || now == nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	ready, rest := r.unsettled(now)
	r.found = rest
	if len(ready) > 0 {
		nc, err := r.cfg.Connect()
		if err != nil {
			r.found = append(rest, ready...)
			return err
		}
		defer nc.Close()
		for _, f := range ready {
			if err := r.bringBack(ctx, nc, f, now); err != nil {
				r.cfg.Log.Error("a durable cannot be brought back, trying again",
					zap.String("stream", f.stream), zap.String("durable", f.name), zap.Error(err))
				r.tell(f, "it cannot be brought back yet, which is tried again: "+err.Error())
				r.found = append(r.found, f)
			}
		}
	}
	return r.remember(now)
}

// bringBack has the server load one durable, at a safe position if its own is lost.
func (r *Repairer) bringBack(ctx context.Context, nc *nats.Conn, f *foundDurable, now streamsNow) error {
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	stream, err := streamread.Open(ctx, js, f.stream)
	if err != nil {
		return err
	}
	loaded := now.has(f.stream, f.name)
	if !f.lost && f.state.beyond(stream.CachedInfo().State.LastSeq) {
		// The server has the stream again, and a program may have made the durable since.
		if err := stream.DeleteConsumer(ctx, f.name); err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
			return err
		}
		f.lost, loaded = true, false
		f.damage = append(f.damage, absurd)
		if err := r.secure(f); err != nil {
			return err
		}
	}
	from := f.state.ackFloor + 1
	if f.lost {
		if from, err = r.safePosition(ctx, stream, f); err != nil {
			return err
		}
	}
	if f.lost && !loaded { // otherwise an earlier try wrote the state, and another client loaded it
		if err := datafolder.WriteFile(filepath.Join(r.folder(f.stream, f.name), stateFile), encodeState(from), 0o600); err != nil {
			return err
		}
	}
	if f.meta == nil {
		r.tell(f, fmt.Sprintf("make it again under its name, with the program that reads it: it then begins with event %d, "+
			"and none is left out; if nobody needs it, remove its folder %s while the bridge is stopped", from, r.folder(f.stream, f.name)))
		return nil
	}
	if !loaded {
		if err := load(ctx, nc, f); err != nil {
			return err
		}
	}
	switch {
	case len(f.damage) == 0:
		r.cfg.Log.Info("a durable is back, where it was", zap.String("stream", f.stream), zap.String("durable", f.name))
	case f.lost:
		r.tell(f, fmt.Sprintf("it was made again and begins with event %d: events that it had handled come again, none is left out; "+
			"if somebody has removed it on purpose, remove it once more", from))
	default:
		r.tell(f, "it was repaired and goes on where it was")
	}
	return nil
}

// load makes the durable as a starting server does: with the state in its folder. A durable
// that another client made meanwhile has the same state.
func load(ctx context.Context, nc *nats.Conn, f *foundDurable) error {
	call, err := json.Marshal(server.CreateConsumerRequest{Stream: f.stream, Config: f.info.ConsumerConfig, Action: server.ActionCreate})
	if err != nil {
		return err
	}
	msg, err := nc.RequestWithContext(ctx, fmt.Sprintf(server.JSApiDurableCreateT, f.stream, f.name), call)
	if err != nil {
		return err
	}
	var answer server.JSApiConsumerCreateResponse
	if err := json.Unmarshal(msg.Data, &answer); err != nil {
		return err
	}
	if answer.Error != nil && answer.Error.ErrCode != uint16(jetstream.JSErrCodeConsumerAlreadyExists) {
		return answer.Error
	}
	return nil
}
