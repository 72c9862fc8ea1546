package durable

import (
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookspan/hookspan/internal/natserr"
)

// ErrDamaged is wrapped when the server cannot read files of the durable, and so neither makes
// nor removes it. Retrying helps only after somebody has repaired the server.
var ErrDamaged = errors.New("the server cannot read the files of the durable")

// withRemedy adds to an error of making a durable what to do, if the server cannot open the
// store of the durable.
func withRemedy(err error, stream, durable string) error {
	if !natserr.Is(err, natserr.ConsumerStoreFailed, jetstream.JSErrCodeConsumerCreate) {
		return err
	}
	return fmt.Errorf("%w: if that goes on, stop that server, remove the folder obs/%s of stream %s in its store and start it again, "+
		"or let its replicas heal it; then set the durable back to before the damage, with hookspan consumers seek %s --since: %w",
		ErrDamaged, durable, stream, durable, err)
}
