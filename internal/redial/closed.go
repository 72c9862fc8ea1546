package redial

import (
	"context"
	"errors"

	"github.com/nats-io/nats.go"
)

// awaitClosed returns when the connection of now is closed, with the status that it had
// before, or with false when ctx has ended.
func (j *JetStream) awaitClosed(ctx context.Context) (last nats.Status, closed bool) {
	nc := j.Conn()
	changes := nc.StatusChanged(nats.CONNECTING, nats.CONNECTED, nats.RECONNECTING, nats.DISCONNECTED,
		nats.DRAINING_SUBS, nats.DRAINING_PUBS, nats.CLOSED)
	defer nc.RemoveStatusListener(changes)
	// One that is closed already was connected, as far as anybody can tell.
	last = nats.CONNECTED
	for status := nc.Status(); ; {
		j.heard(nc, status)
		// A change is dropped when ten others wait, so the last one is no proof.
		if status == nats.CLOSED || len(changes) == 0 && nc.IsClosed() {
			return last, ctx.Err() == nil
		}
		last = status
		select {
		case <-ctx.Done():
			return last, false
		case status = <-changes:
		}
	}
}

// closedByError tells a connection that an error has closed from one that its owner has
// closed; last is the status before. LastError alone does not tell: errors that close
// nothing stay in it, and nats.go leaves one there, too, when the owner closes a
// connection that is just being made again.
func closedByError(nc *nats.Conn, last nats.Status) bool {
	switch last {
	case nats.CONNECTING, nats.DISCONNECTED:
		return true // refused for good, or lost and not to be made again
	case nats.RECONNECTING:
		return len(nc.Servers()) == 0 // each had its last attempt
	case nats.CONNECTED:
		err := nc.LastError()
		if errors.Is(err, nats.ErrNoServers) && len(nc.Servers()) > 0 {
			return false // nobody saw it being made again
		}
		for _, harmless := range []error{
			nats.ErrSlowConsumer, nats.ErrPermissionViolation, nats.ErrMaxSubscriptionsExceeded, nats.ErrBadHeaderMsg,
		} {
			if errors.Is(err, harmless) {
				return false
			}
		}
		return err != nil
	default: // it was being drained
		return false
	}
}
