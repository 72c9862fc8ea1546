package housekeeping

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// errUnreadable: the server says that the message is not there, which it says
// too of one that it cannot read. Or it has handed out one whose header makes no
// sense: the length of the header is not covered by the server's checksum.
var errUnreadable = errors.New("message cannot be read")

// get is stream.GetMsg with an error that wraps errUnreadable when there was an
// answer, and it was no message.
func get(ctx context.Context, stream jetstream.Stream, sequence uint64, opts ...jetstream.GetMsgOpt) (*jetstream.RawStreamMsg, error) {
	m, err := stream.GetMsg(ctx, sequence, opts...)
	if errors.Is(err, jetstream.ErrMsgNotFound) || senseless(err) {
		return nil, fmt.Errorf("%w: %w", errUnreadable, err)
	}
	return m, err
}

// senseless: nats.go has no error of its own for a header that it cannot use.
func senseless(err error) bool {
	return err != nil && strings.Contains(err.Error(), "header") && !errors.Is(err, nats.ErrHeadersNotSupported)
}

// nextOfAll asks get for the first message at or after a sequence.
func nextOfAll() jetstream.GetMsgOpt { return jetstream.WithGetMsgSubject(everything) }

// everything is the filter that every subject matches.
const everything = ">"
