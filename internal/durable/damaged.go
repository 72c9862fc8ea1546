package durable

import (
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

// ErrDamaged is wrapped when the server has files of the durable that it cannot read,
// and so neither makes nor removes it. Trying again helps once somebody has seen to
// the server.
var ErrDamaged = errors.New("the server cannot read the files of the durable")

// Codes of a server that cannot open the store of a durable.
const (
	codeConsumerCreate      jetstream.ErrorCode = 10012
	codeConsumerStoreFailed jetstream.ErrorCode = 10104
)

// withRemedy is the error of making a durable, with what to do about it.
func withRemedy(err error, stream, durable string) error {
	api, ok := errors.AsType[*jetstream.APIError](err)
	if !ok || api.ErrorCode != codeConsumerStoreFailed && api.ErrorCode != codeConsumerCreate {
		return err
	}
	return fmt.Errorf("%w: if that goes on, stop that server, remove the folder obs/%s of stream %s in its store and start it again, "+
		"or let its replicas heal it; then set the durable back to before the damage, with hookspan consumers seek %s --since: %w",
		ErrDamaged, durable, stream, durable, err)
}
