package stream

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
)

// unsettled are the durables that wait for settle and whose streams the server has.
func (d *durables) unsettled(now streamsNow) (ready, rest []*foundDurable) {
	for _, f := range d.found {
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

// settle brings back the durables of the streams that the server has, and records
// which there are. What fails is tried again with the next call. Connect is called
// when there is something to bring back.
func (d *durables) settle(ctx context.Context, now streamsNow, connect func() (*nats.Conn, error)) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	ready, rest := d.unsettled(now)
	d.found = rest
	if len(ready) > 0 {
		nc, err := connect()
		if err != nil {
			d.found = append(rest, ready...)
			return err
		}
		defer nc.Close()
		for _, f := range ready {
			if err := d.bringBack(ctx, nc, f, now); err != nil {
				d.log.Error("a durable cannot be brought back, trying again",
					zap.String("stream", f.stream), zap.String("durable", f.name), zap.Error(err))
				d.tell(f, "it cannot be brought back yet, which is tried again: "+err.Error())
				d.found = append(d.found, f)
			}
		}
	}
	return d.remember(now)
}

// bringBack has the server load one durable, at a safe position if its own is lost.
func (d *durables) bringBack(ctx context.Context, nc *nats.Conn, f *foundDurable, now streamsNow) error {
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	stream, err := js.Stream(ctx, f.stream)
	if err != nil {
		return err
	}
	loaded := now.has(f.stream, f.name)
	if !f.lost && f.state.beyond(stream.CachedInfo().State.LastSeq) {
		// The server has the stream again, and somebody may have made the durable since.
		if err := stream.DeleteConsumer(ctx, f.name); err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
			return err
		}
		f.lost, loaded = true, false
		f.damage = append(f.damage, "by its state it has seen more events than there are")
		if err := d.secure(f); err != nil {
			return err
		}
	}
	from := f.state.ackFloor + 1
	if f.lost {
		if from, err = d.safePosition(ctx, stream, f); err != nil {
			return err
		}
	}
	if f.lost && !loaded { // else an earlier try has written it, and somebody has made the durable of it
		if err := datafolder.WriteFile(filepath.Join(d.folder(f.stream, f.name), stateFile), encodeState(from), 0o600); err != nil {
			return err
		}
	}
	if f.meta == nil {
		d.tell(f, fmt.Sprintf("make it again under its name, with the program that reads it: it then begins with event %d, "+
			"and none is left out; if nobody needs it, remove its folder %s while the bridge is stopped", from, d.folder(f.stream, f.name)))
		return nil
	}
	if !loaded {
		if err := load(ctx, nc, f); err != nil {
			return err
		}
	}
	switch {
	case len(f.damage) == 0:
		d.log.Info("a durable is back, where it was", zap.String("stream", f.stream), zap.String("durable", f.name))
	case f.lost:
		d.tell(f, fmt.Sprintf("it was made again and begins with event %d: events that it had handled come again, none is left out; "+
			"if somebody has removed it on purpose, remove it once more", from))
	default:
		d.tell(f, "it was repaired and goes on where it was")
	}
	return nil
}

// load makes the durable as the server does when it starts: with the state that is in
// its folder. One that somebody else has made meanwhile has that too.
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
