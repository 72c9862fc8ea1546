package erase

import (
	"context"
	"errors"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/streamread"
)

// streamPlace erases messages of one stream.
type streamPlace struct {
	cfg    Config
	stream string
	// headers: the headers tell whose a message is.
	headers bool
	// late: attempts write there.
	late bool
	// queue: no consumer can read it besides its own, so it is read message by message.
	queue bool
}

// streamPlaces are the streams, in the order in which their messages come from each other.
func streamPlaces(cfg Config) []Place {
	n := cfg.Names
	var places []Place
	for _, p := range []streamPlace{
		{stream: n.EventsStream(), headers: true},
		{stream: n.LaterStream(), late: true, queue: true},
		{stream: n.DeadStream(), late: true},
		{stream: n.QuarantineStream()},
		{stream: n.UnconfirmedStream(), queue: true},
		{stream: n.RefusedStream()},
		{stream: n.AttemptsStream(), late: true},
		{stream: n.PollsStream()},
		{stream: n.AlarmsStream()},
	} {
		p.cfg = cfg
		places = append(places, Place{Name: p.stream, Erase: p.erase, Late: p.late})
	}
	return places
}

// erase finds the messages first: to remove some while a reader is on its way would leave it
// behind.
func (p streamPlace) erase(ctx context.Context, s *Selection, dryRun bool) (int, error) {
	found, err := p.find(ctx, s)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return 0, nil // nothing is kept there
	}
	if err != nil || dryRun || len(found) == 0 {
		return len(found), err
	}
	if p.stream == p.cfg.Names.EventsStream() {
		for t, sequences := range s.events {
			if err := p.cfg.Registry.Put(ctx, t, sequences); err != nil {
				return 0, err
			}
		}
	}
	stream, err := streamread.Open(ctx, p.cfg.JS, p.stream)
	if err != nil {
		return 0, err
	}
	for i, seq := range found {
		if err := secureDelete(ctx, stream, seq); err != nil {
			return i, err
		}
	}
	s.Gone[p.stream] = append(s.Gone[p.stream], found...)
	return len(found), nil
}

func (p streamPlace) find(ctx context.Context, s *Selection) (found []uint64, err error) {
	visit := func(m Message, seq uint64) {
		if !s.Matches(p.cfg.Names, m) {
			return
		}
		found = append(found, seq)
		if p.headers {
			s.note(m, seq)
		}
	}
	if p.queue {
		stream, err := streamread.Open(ctx, p.cfg.JS, p.stream)
		if err != nil {
			return nil, err
		}
		err = streamread.Walk(ctx, stream, streamread.Span{Subject: ">"}, func(m *jetstream.RawStreamMsg) error {
			visit(Message{m.Subject, bridge.Header(m.Header), m.Data}, m.Sequence)
			return ctx.Err()
		})
		return found, err
	}
	_, err = scan(ctx, p.cfg.JS, p.stream, 0, p.headers, func(m jetstream.Msg, seq uint64) error {
		visit(Message{m.Subject(), bridge.Header(m.Headers()), m.Data()}, seq)
		return nil
	})
	return found, err
}
