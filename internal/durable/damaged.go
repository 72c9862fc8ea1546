package durable

import (
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookspan/hookspan/internal/natserr"
)

// ErrDamaged is wrapped when the server has files of the durable that it cannot read,
// and so neither makes nor removes it. Trying again helps once somebody has seen to
// the server.
var ErrDamaged = errors.New("the server cannot read the files of the durable")

// withRemedy is the error of making a durable, with what to do about it if the server
// cannot open the store of the durable.
func withRemedy(err error, stream, durable string) error {
	if !natserr.Is(err, natserr.ConsumerStoreFailed, jetstream.JSErrCodeConsumerCreate) {
		return err
	}
	return fmt.Errorf("%w: if that goes on, stop that server, remove the folder obs/%s of stream %s in its store and start it again, "+
		"or let its replicas heal it; then set the durable back to before the damage, with hookspan consumers seek %s --since: %w",
		ErrDamaged, durable, stream, durable, err)
}
