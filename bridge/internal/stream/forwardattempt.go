package stream

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/journal"
)

// attempt tries the records of the block that are not settled, stream by stream. It returns nil
// when all are stored or set aside, and otherwise why not.
func (f *Forwarder) attempt(ctx context.Context, b *block) error {
	if age := time.Since(b.began); age > f.cfg.Duplicates/2 {
		// An earlier attempt may have stored some of them without an answer, and the stream may
		// have forgotten their ids.
		if err := f.recognise(ctx, b.unsettled()); err != nil {
			return err
		}
	}
	for {
		name, part, err := f.part(b)
		if err != nil || len(part) == 0 {
			return err
		}
		if err := f.attemptPart(ctx, b, name, part); err != nil {
			return err
		}
	}
}

// errOtherPrefix is for a record of an earlier configuration, whose streams nobody provisions.
var errOtherPrefix = errors.New("it is of another nats.prefix")

// part returns the indexes of the unsettled records that go to the same stream as the first of
// them. It settles records that an earlier process has forwarded, and sets aside those of another
// prefix.
func (f *Forwarder) part(b *block) (name string, part []int, err error) {
	for i := range b.records {
		if b.settled[i] {
			continue
		}
		r := &b.records[i]
		if receipt, found := f.receiptOf(r); found {
			f.settle(b, i, receipt)
			continue
		}
		if f.cfg.Names.StreamOf(r.Subject) != r.Stream {
			if err := f.setAside(r, errOtherPrefix); err != nil {
				return "", nil, err
			}
			b.settled[i] = true
			continue
		}
		if len(part) == 0 {
			name = r.Stream
		}
		if r.Stream == name {
			part = append(part, i)
		}
	}
	return name, part, nil
}

func (f *Forwarder) attemptPart(ctx context.Context, b *block, name string, part []int) error {
	if !f.publisher.Fit() {
		return errNotFit // at a first start there is no stream to look at
	}
	if err := f.learn(ctx, name); err != nil {
		return f.missing(ctx, b, name, part, err)
	}
	part, err := f.passErased(ctx, b, part)
	if err != nil || len(part) == 0 {
		return err
	}
	msgs := make([]*nats.Msg, len(part))
	for i, at := range part {
		r := &b.records[at]
		msgs[i] = &nats.Msg{Subject: r.Subject, Header: nats.Header(r.Header), Data: r.Body}
	}
	var failed error
	progress := false
	for i, o := range f.publisher.storeAll(ctx, name, msgs) {
		r := &b.records[part[i]]
		switch {
		case o.Err == nil:
			f.settle(b, part[i], o.Receipt)
			progress = true
		case errors.Is(o.Err, nats.ErrMaxPayload) && !f.publisher.js.Conn().IsConnected():
			failed = cmp.Or(failed, o.Err) // the limit of now is not known
		case errors.Is(o.Err, bridge.ErrTooLarge), errors.Is(o.Err, bridge.ErrFull) && name != f.cfg.Names.EventsStream():
			if err := f.setAside(r, o.Err); err != nil {
				return err
			}
			b.settled[part[i]] = true
			progress = true
		case failed == nil, errors.Is(failed, errBehind):
			failed = o.Err
		}
	}
	if progress && errors.Is(failed, errBehind) {
		return nil // the rest was not tried
	}
	return failed
}

// passErased settles records of erased predictions, and returns the others.
func (f *Forwarder) passErased(ctx context.Context, b *block, part []int) (rest []int, err error) {
	if f.cfg.Erased == nil {
		return part, nil
	}
	if err := f.cfg.Erased.Ready(ctx); err != nil {
		return nil, err
	}
	for _, at := range part {
		r := &b.records[at]
		if f.cfg.Erased.Erases(r.Subject, r.Header, r.Body) {
			b.settled[at] = true
			f.heard(r, bridge.Receipt{Result: bridge.Erasure}, nil)
			continue
		}
		rest = append(rest, at)
	}
	return rest, nil
}

// missing sets aside the records of a stream, other than that of events, that nobody makes: with
// nats.provision verify or none it may be missing for good. Until it is there the keeper takes
// no more for it.
func (f *Forwarder) missing(ctx context.Context, b *block, name string, part []int, err error) error {
	if name == f.cfg.Names.EventsStream() || !errors.Is(err, jetstream.ErrStreamNotFound) || time.Since(b.began) < f.missingAfter && !f.full.has(ctx, name, 1) {
		return err
	}
	for _, at := range part {
		if failed := f.setAside(&b.records[at], fmt.Errorf("%w: %w", bridge.ErrFull, err)); failed != nil {
			return failed
		}
		b.settled[at] = true
	}
	return nil
}

// settle notes that a stream has the record.
func (f *Forwarder) settle(b *block, i int, receipt bridge.Receipt) {
	r := &b.records[i]
	b.settled[i] = true
	f.forwarded.Add(1)
	f.trace(b, r, receipt)
	if receipt.Result == bridge.Stored {
		f.advance(b, r.Stream, receipt.Sequence)
	}
	f.heard(r, receipt, nil)
}

// setAside moves a record that NATS does not take out of the way.
func (f *Forwarder) setAside(r *journal.Record, cause error) error {
	remedy := "raise max_payload of the NATS server"
	switch {
	case errors.Is(cause, errOtherPrefix):
		remedy = "set nats.prefix back"
	case errors.Is(cause, bridge.ErrFull):
		remedy = "make room in " + r.Stream
	}
	if err := f.journal.SetAside(*r, fmt.Sprintf("%v: %s", cause, remedy)); err != nil {
		return fmt.Errorf("setting a record aside: %w", err)
	}
	if errors.Is(cause, bridge.ErrFull) {
		f.full.add(r.Stream)
	}
	f.heard(r, bridge.Receipt{}, cause)
	return nil
}

func (b *block) unsettled() []*journal.Record {
	var out []*journal.Record
	for i := range b.records {
		if !b.settled[i] {
			out = append(out, &b.records[i])
		}
	}
	return out
}
