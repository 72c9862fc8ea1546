package consumers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookspan/hookspan/internal/natspull"
)

const (
	// pullExpiry is how long one request for events waits at the server, pullHeartbeat how often
	// the server then says that the request still waits. A durable that vanished is noticed
	// after twice that.
	pullExpiry    = 30 * time.Second
	pullHeartbeat = 3 * time.Second
	// closeTimeout bounds the wait for a server that is away when a pull is closed.
	closeTimeout = 2 * time.Second
)

// pull asks a durable for events, for one goroutine. The iterators of package jetstream ask for
// the same number each time, and when used fast sometimes not at all (nats.go 1.55.0); a pull
// asks for exactly as many as are wanted. The protocol is ADR-13 of NATS.
type pull struct {
	nc      *nats.Conn
	conn    func() *nats.Conn // returns the current connection: nc may be closed for good
	subject string            // of requests
	sub     *nats.Subscription
	in      chan *nats.Msg
	closed  chan struct{} // closed once nothing more can come in
	// connected delivers when nc has reconnected.
	connected chan nats.Status
	silence   *time.Timer
	// delivered is the durable's consumer sequence of the newest delivery that is known.
	delivered uint64
}

// openPull returns a pull for at most so many events at once. The caller closes it.
func openPull(js jetstream.JetStream, durable *jetstream.ConsumerInfo, most int) (*pull, error) {
	p := &pull{
		nc: js.Conn(), conn: js.Conn, subject: natspull.Subject(js, durable.Stream, durable.Name),
		// The server may still answer a request that counted as lost, beside the next one.
		in: make(chan *nats.Msg, 2*most+16), closed: make(chan struct{}), silence: time.NewTimer(2 * pullHeartbeat),
		delivered: durable.Delivered.Consumer,
	}
	var err error
	if p.sub, err = p.nc.ChanSubscribe(p.nc.NewInbox(), p.in); err != nil {
		return nil, fmt.Errorf("subscribing to events: %w", err)
	}
	p.sub.SetClosedHandler(func(string) { close(p.closed) })
	p.connected = p.nc.StatusChanged(nats.CONNECTED)
	return p, nil
}

func (p *pull) ask(batch int) error {
	request, err := json.Marshal(struct {
		Batch     int           `json:"batch"`
		Expires   time.Duration `json:"expires"`
		Heartbeat time.Duration `json:"idle_heartbeat"`
	}{batch, pullExpiry, pullHeartbeat})
	if err != nil {
		return fmt.Errorf("asking for events: %w", err)
	}
	p.silence.Reset(2 * pullHeartbeat)
	if err := p.nc.PublishRequest(p.subject, p.sub.Subject, request); err != nil {
		return fmt.Errorf("asking for events: %w", err)
	}
	return nil
}

var (
	// errOver says that the request has expired.
	errOver = errors.New("the request is over")
	// errMoved says that another server serves the durable now than the one that had the
	// request. The state of the durable may be lost too.
	errMoved = errors.New("the durable has moved")
)

// next returns the next event. After any error but [errOver] the durable must be looked up
// again.
func (p *pull) next(ctx context.Context) (jetstream.Msg, error) {
	for {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-p.connected:
			return nil, errMoved
		case <-p.closed:
			return nil, nats.ErrConnectionClosed
		case <-p.silence.C:
			return nil, nats.ErrNoHeartbeat
		case m := <-p.in:
			p.silence.Reset(2 * pullHeartbeat)
			if event, ok := natspull.Message(m, p.conn); ok {
				return event, nil
			}
			if err := p.status(m); err != nil {
				return nil, err
			}
		}
	}
}

// setBack reports whether the durable counts its deliveries anew since the last one, because
// somebody has set it back or it was restored.
func (p *pull) setBack(msg jetstream.Msg) bool {
	meta, err := msg.Metadata()
	if err != nil {
		return false
	}
	before := p.delivered
	p.delivered = meta.Sequence.Consumer
	return p.delivered <= before
}

// status reads a message about the request. It returns nil while the request goes on.
func (p *pull) status(m *nats.Msg) error {
	code, text := m.Header.Get("Status"), m.Header.Get("Description")
	switch {
	case code == "100": // heartbeat
		return nil
	case code == "408":
		return errOver
	case code == "409" && (text == "Leadership Change" || text == "Server Shutdown"):
		return errMoved
	}
	return fmt.Errorf("asking for events: the server answers %s %s", code, text)
}

// close ends the request and returns the events that came meanwhile.
func (p *pull) close() []jetstream.Msg {
	p.nc.RemoveStatusListener(p.connected)
	p.silence.Stop()
	if p.sub.Drain() == nil {
		waitFor(p.closed, closeTimeout)
	}
	var rest []jetstream.Msg
	for {
		select {
		case m := <-p.in:
			if event, ok := natspull.Message(m, p.conn); ok {
				rest = append(rest, event)
			}
		default:
			return rest
		}
	}
}
