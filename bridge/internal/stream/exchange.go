package stream

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"
)

// exchange publishes several messages on one connection and awaits their answers. Answers end
// when the connection does: those that were on their way cannot arrive any more.
type exchange struct {
	nc    *nats.Conn
	inbox string
	lost  chan nats.Status
}

func newExchange(nc *nats.Conn) exchange {
	return exchange{nc: nc, inbox: nc.NewInbox(), lost: nc.StatusChanged(nats.DISCONNECTED, nats.RECONNECTING, nats.CLOSED)}
}

// close must be called.
func (x exchange) close() { x.nc.RemoveStatusListener(x.lost) }

func (x exchange) reply(i int) string { return x.inbox + "." + strconv.Itoa(i) }

// listen receives up to so many answers until end is called.
func (x exchange) listen(most int) (answers chan *nats.Msg, end func(), err error) {
	answers = make(chan *nats.Msg, most)
	sub, err := x.nc.ChanSubscribe(x.inbox+".*", answers)
	if err != nil {
		return nil, nil, fmt.Errorf("listening for acknowledgements: %w", err)
	}
	return answers, func() { _ = sub.Unsubscribe() }, nil // it fails when the connection is closed, and then it is gone anyway
}

// errNoAnswer is for a message that was sent and may be stored.
var errNoAnswer = errors.New("no acknowledgement came")

func (x exchange) await(ctx context.Context, answers <-chan *nats.Msg) (*nats.Msg, error) {
	select {
	case m := <-answers:
		return m, nil
	default:
	}
	select {
	case m := <-answers:
		return m, nil
	case <-x.lost:
		return nil, fmt.Errorf("%w: the connection was lost", errNoAnswer)
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w", errNoAnswer, ctx.Err())
	}
}

// singles publishes the messages one after the other without waiting in between. Messages
// behind a failed one may be stored nevertheless, as their results say.
func (x exchange) singles(ctx context.Context, msgs []*nats.Msg, results []result) {
	answers, end, err := x.listen(len(msgs))
	if err != nil {
		failAll(results, notSent(err))
		return
	}
	defer end()
	waiting := 0
	for i, m := range msgs {
		err := x.nc.PublishMsg(&nats.Msg{Subject: m.Subject, Reply: x.reply(i), Header: m.Header, Data: m.Data})
		if err != nil {
			results[i].err = err
			failAll(results[i+1:], errBehind)
			break
		}
		results[i].err = errNoAnswer
		waiting++
	}
	for ; waiting > 0; waiting-- {
		m, err := x.await(ctx, answers)
		if err != nil {
			for i := range results {
				if errors.Is(results[i].err, errNoAnswer) {
					results[i].err = err
				}
			}
			return
		}
		if i, err := strconv.Atoi(m.Subject[strings.LastIndexByte(m.Subject, '.')+1:]); err == nil && i >= 0 && i < len(results) {
			results[i] = singleAnswer(m)
		}
	}
}

func singleAnswer(m *nats.Msg) result {
	ack, err := parseAck(m)
	if err != nil {
		return result{err: err}
	}
	return result{ack: &ack.PubAck}
}

func notSent(err error) error { return fmt.Errorf("%w: %w", errNotSent, err) }

// errBehind is for a message that was not sent because one before it failed.
var errBehind = fmt.Errorf("%w: a message before it was not stored", errNotSent)

func failAll(results []result, err error) []result {
	for i := range results {
		results[i].err = err
	}
	return results
}
