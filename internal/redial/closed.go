package redial

import (
	"context"
	"errors"

	"github.com/nats-io/nats.go"
)

// awaitClosed returns when the current connection is closed, with its status before, or false
// when ctx has ended.
func (j *JetStream) awaitClosed(ctx context.Context) (last nats.Status, closed bool) {
	nc := j.Conn()
	changes := nc.StatusChanged(nats.CONNECTING, nats.CONNECTED, nats.RECONNECTING, nats.DISCONNECTED,
		nats.DRAINING_SUBS, nats.DRAINING_PUBS, nats.CLOSED)
	defer nc.RemoveStatusListener(changes)
	// A connection that is closed already counts as having been connected.
	last = nats.CONNECTED
	for status := nc.Status(); ; {
		j.heard(nc, status)
		// Changes are dropped while ten wait, so the last status proves nothing.
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

// closedByError tells a connection closed by an error from one closed by its owner; last is the
// status before. LastError alone is no proof: it keeps errors that close nothing, and nats.go
// also sets it when the owner closes a connection during a reconnect.
func closedByError(nc *nats.Conn, last nats.Status) bool {
	switch last {
	case nats.CONNECTING, nats.DISCONNECTED:
		return true // refused for good, or lost without reconnects
	case nats.RECONNECTING:
		return len(nc.Servers()) == 0 // each had its last attempt
	case nats.CONNECTED:
		err := nc.LastError()
		if errors.Is(err, nats.ErrNoServers) && len(nc.Servers()) > 0 {
			return false // nobody saw a reconnect
		}
		for _, harmless := range []error{
			nats.ErrSlowConsumer, nats.ErrPermissionViolation, nats.ErrMaxSubscriptionsExceeded, nats.ErrBadHeaderMsg,
		} {
			if errors.Is(err, harmless) {
				return false
			}
		}
		return err != nil
	default: // draining
		return false
	}
}
