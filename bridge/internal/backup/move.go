package backup

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// markKey is in the metadata of a stream that is being moved.
const markKey = "hookspan-moving"

// Mark has every stream that the target gets carry a mark, by which [Target.RemoveMarked] and
// [Target.Unmark] know them, also in a later process.
func (t *Target) Mark(id string) { t.mark = id }

// Move copies all streams with their durables from one NATS to a target, while their durables
// stand still. For quiet it waits for acknowledgements of what was delivered before. It returns
// how the durables are held, for the caller to call [Hold.Resume] or [Hold.Leave], also after an
// error unless it is nil, and how many events may be delivered again: a snapshot of a cluster has
// of a durable only up to where everything is acknowledged (nats-server 2.15), when something
// behind that is not. The error says when something has changed at the source meanwhile: then the
// copy is none.
func Move(ctx context.Context, from jetstream.JetStream, to *Target, quiet time.Duration) (hold *Hold, again uint64, err error) {
	if err := checkServer(from); err != nil {
		return nil, 0, err
	}
	names, events := []string{}, to.cfg.Names.EventsStream()
	for _, s := range to.cfg.All() {
		if s.Name != events {
			names = append(names, s.Name)
		}
	}
	names = append(names, events) // with it everything is there that its consumers need
	if hold, err = Pause(ctx, from, names...); err != nil {
		return nil, 0, err
	}
	if quiet > 0 {
		if err := hold.Quiet(ctx, quiet); err != nil {
			return hold, 0, err
		}
	}
	before, err := hold.standings(ctx)
	if err != nil {
		return hold, 0, err
	}
	var moved []Stream
	for _, name := range names {
		s, err := moveStream(ctx, from, to, name, hold.Paused()[name])
		if errors.Is(err, jetstream.ErrStreamNotFound) && name != events {
			continue
		}
		if err != nil {
			return hold, 0, err
		}
		for _, d := range s.Durables {
			if was := before[name+" "+d.Name]; was.delivered > d.Delivered {
				again += was.delivered - d.Delivered - min(uint64(was.pending), was.delivered-d.Delivered) //nolint:gosec // a count
			}
		}
		moved = append(moved, s)
	}
	if err := to.Verify(ctx, moved); err != nil {
		return hold, 0, err
	}
	return hold, again, errors.Join(unchanged(ctx, from, moved, hold, before), hold.Err())
}

// aStanding is where a durable is.
type aStanding struct {
	delivered, acknowledged uint64
	pending                 int
}

// standings returns where the durables are, by stream and name.
func (h *Hold) standings(ctx context.Context) (map[string]aStanding, error) {
	out := map[string]aStanding{}
	err := h.each(func(stream, durable string, _ time.Time) error {
		c, err := h.js.Consumer(ctx, stream, durable)
		if err == nil {
			is := c.CachedInfo()
			out[stream+" "+durable] = aStanding{is.Delivered.Stream, is.AckFloor.Stream, is.NumAckPending}
		}
		return err
	})
	return out, err
}

func moveStream(ctx context.Context, from jetstream.JetStream, to *Target, name string, paused map[string]time.Time) (Stream, error) {
	moved := Stream{Name: name}
	s, err := openSnapshot(ctx, from, name)
	if err != nil {
		return moved, err
	}
	defer s.close()
	config, err := json.Marshal(streamFile{s.config, s.state})
	if err != nil {
		return moved, err
	}
	out, in := io.Pipe()
	read := make(chan struct{})
	go func() {
		defer close(read)
		var err error
		moved.Content, err = rewrite(in, s, edit{paused: paused, maxAge: s.parsed.MaxAge, ttl: s.parsed.AllowMsgTTL})
		_ = in.CloseWithError(err) // never fails
	}()
	err = to.Stream(ctx, name, config, out)
	_ = out.Close() // ends the writer, when the reader has given up
	<-read
	return moved, err
}

// unchanged returns an error when somebody works on the streams that were moved.
func unchanged(ctx context.Context, from jetstream.JetStream, moved []Stream, hold *Hold, before map[string]aStanding) error {
	const remedy = "stop every other bridge and program that uses it"
	for _, s := range moved {
		stream, err := from.Stream(ctx, s.Name)
		if err != nil {
			return fmt.Errorf("looking at %s after its copy: %w", s.Name, err)
		}
		if last := stream.CachedInfo().State.LastSeq; last != s.Last {
			return fmt.Errorf("stream %s has got messages while it was copied (up to %d, and %d are copied): %s", s.Name, last, s.Last, remedy)
		}
	}
	after, err := hold.standings(ctx)
	if err != nil {
		return err
	}
	for name, was := range before {
		if after[name] != was {
			return fmt.Errorf("a durable was used while it was copied (stream and name: %s): %s", name, remedy)
		}
	}
	return nil
}

// Unmark takes the mark from the streams of the target, which a bridge may use then.
func (t *Target) Unmark(ctx context.Context) error {
	return t.eachMarked(ctx, func(s jetstream.Stream) error {
		config := s.CachedInfo().Config
		delete(config.Metadata, markKey)
		_, err := t.js.UpdateStream(ctx, config)
		return err
	})
}

// RemoveMarked removes the streams of the target that carry its mark.
func (t *Target) RemoveMarked(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	return t.eachMarked(ctx, func(s jetstream.Stream) error { return t.js.DeleteStream(ctx, s.CachedInfo().Config.Name) })
}

func (t *Target) eachMarked(ctx context.Context, do func(jetstream.Stream) error) error {
	var errs []error
	for _, want := range t.cfg.All() {
		s, err := t.js.Stream(ctx, want.Name)
		if err == nil && s.CachedInfo().Config.Metadata[markKey] == t.mark {
			err = do(s)
		}
		if err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
			errs = append(errs, fmt.Errorf("stream %s: %w", want.Name, err))
		}
	}
	return errors.Join(errs...)
}

// retiredFor is longer than anybody keeps the streams that were moved.
const retiredFor = 100 * 365 * 24 * time.Hour

// Retire pauses every durable of the streams for good: what they have left is handled elsewhere.
func Retire(ctx context.Context, js jetstream.JetStream, streams ...string) error {
	h, err := Pause(ctx, js, streams...)
	if err != nil {
		return err
	}
	h.Leave()
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	return h.each(func(stream, durable string, _ time.Time) error {
		_, err := h.js.PauseConsumer(ctx, stream, durable, time.Now().Add(retiredFor))
		return err
	})
}
