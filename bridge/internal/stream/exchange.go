package stream

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/nats-io/nats.go"
)

// exchange publishes several messages on one connection and awaits their answers. Answers end
// when the connection does: those that were on their way cannot arrive any more. One caller at
// a time uses it.
type exchange struct {
	nc      *nats.Conn
	inbox   string
	sub     *nats.Subscription
	answers chan *nats.Msg
	lost    chan nats.Status
	round   int // answers to earlier rounds are late
	broken  bool
}

func newExchange(nc *nats.Conn) (*exchange, error) {
	x := &exchange{nc: nc, inbox: nc.NewInbox(), answers: make(chan *nats.Msg, 2*batchMessages)} // late ones too
	var err error
	if x.sub, err = nc.ChanSubscribe(x.inbox+".*.*", x.answers); err != nil {
		return nil, fmt.Errorf("listening for acknowledgements: %w", err)
	}
	x.lost = nc.StatusChanged(nats.DISCONNECTED, nats.RECONNECTING, nats.CLOSED)
	return x, nil
}

func (x *exchange) close() {
	x.nc.RemoveStatusListener(x.lost)
	_ = x.sub.Unsubscribe() // it fails when the connection is closed, and then it is gone anyway
}

// next begins another round.
func (x *exchange) next() {
	x.round++
	for {
		select {
		case <-x.answers:
		default:
			return
		}
	}
}

func (x *exchange) reply(i int) string {
	return x.inbox + "." + strconv.Itoa(x.round) + "." + strconv.Itoa(i)
}

// errNoAnswer is for a message that was sent and may be stored.
var errNoAnswer = errors.New("no acknowledgement came")

// await returns an answer of this round, and which message it is for.
func (x *exchange) await(ctx context.Context) (m *nats.Msg, i int, err error) {
	for {
		select {
		case m = <-x.answers:
		default:
			select {
			case m = <-x.answers:
			case <-x.lost:
				x.broken = true
				return nil, 0, fmt.Errorf("%w: the connection was lost", errNoAnswer)
			case <-ctx.Done():
				return nil, 0, fmt.Errorf("%w: %w", errNoAnswer, ctx.Err())
			}
		}
		round, number, _ := strings.Cut(m.Subject[min(len(x.inbox)+1, len(m.Subject)):], ".")
		if i, err := strconv.Atoi(number); err == nil && round == strconv.Itoa(x.round) {
			return m, i, nil
		}
	}
}

// exchanges are those that are not in use. To listen anew for each block would cost the server
// more than a message does.
type exchanges struct {
	mu   sync.Mutex
	idle []*exchange
}

// take returns an exchange of the connection for the caller alone.
func (e *exchanges) take(nc *nats.Conn) (*exchange, error) {
	for {
		e.mu.Lock()
		n := len(e.idle) - 1
		if n < 0 {
			e.mu.Unlock()
			return newExchange(nc)
		}
		x := e.idle[n]
		e.idle = e.idle[:n]
		e.mu.Unlock()
		if x.nc == nc && len(x.lost) == 0 {
			return x, nil
		}
		x.close()
	}
}

func (e *exchanges) put(x *exchange) {
	if x.broken {
		x.close()
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.idle = append(e.idle, x)
}

// close closes those that are not in use.
func (e *exchanges) close() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, x := range e.idle {
		x.close()
	}
	e.idle = nil
}

// singles publishes the messages one after the other without waiting in between. Messages
// behind a failed one may be stored nevertheless, as their results say.
func (x *exchange) singles(ctx context.Context, msgs []*nats.Msg, results []result) {
	x.next()
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
		m, i, err := x.await(ctx)
		if err != nil {
			for i := range results {
				if errors.Is(results[i].err, errNoAnswer) {
					results[i].err = err
				}
			}
			return
		}
		if i >= 0 && i < len(results) {
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
