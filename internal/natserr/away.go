package natserr

import (
	"context"
	"errors"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// unavailable is the code of a server that cannot answer now: it has no leader, or no resources.
const unavailable = 503

// away are errors of a client that gets no answer, or none that says more than that.
var away = []error{
	context.DeadlineExceeded, nats.ErrTimeout, nats.ErrNoResponders, nats.ErrNoServers, nats.ErrConnectionClosed, nats.ErrConnectionReconnecting,
	nats.ErrConnectionDraining, nats.ErrDisconnected, nats.ErrInvalidConnection, nats.ErrReconnectBufExceeded, nats.ErrStaleConnection,
	nats.ErrAuthorization, nats.ErrAuthExpired, nats.ErrBadSubscription,
	jetstream.ErrNoStreamResponse, jetstream.ErrNoHeartbeat, jetstream.ErrServerShutdown, jetstream.ErrConnectionClosed,
	jetstream.ErrJetStreamNotEnabled, jetstream.ErrJetStreamNotEnabledForAccount, jetstream.ErrStreamNotFound,
}

// Unavailable reports whether a server said that it cannot answer now, as long as the cluster has
// no leader for what was asked.
func Unavailable(err error) bool {
	api, ok := errors.AsType[*jetstream.APIError](err)
	return ok && api.Code == unavailable
}

// Away reports whether err says that NATS, or what the bridge has there, cannot be reached now:
// its servers do not answer or do not lead, or a stream is missing. A call whose own context
// expired counts too, since nothing else takes that long.
func Away(err error) bool {
	if Unavailable(err) {
		return true
	}
	for _, a := range away {
		if errors.Is(err, a) {
			return true
		}
	}
	return false
}
