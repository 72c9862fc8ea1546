package natserr_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/internal/natserr"
)

// What a caller did wrong is not NATS being away.
func TestAway(t *testing.T) {
	t.Parallel()
	for _, err := range []error{
		context.DeadlineExceeded, nats.ErrNoResponders, jetstream.ErrNoStreamResponse, nats.ErrReconnectBufExceeded, jetstream.ErrStreamNotFound,
		&jetstream.APIError{Code: 503, ErrorCode: natserr.NoResources},
	} {
		require.True(t, natserr.Away(fmt.Errorf("listing: %w", err)), err)
	}
	for _, err := range []error{
		nil, context.Canceled, errors.New("x"), jetstream.ErrConsumerNotFound, jetstream.ErrMsgNotFound, &jetstream.APIError{Code: 400, ErrorCode: natserr.HeaderTooLarge},
	} {
		require.False(t, natserr.Away(err), err)
	}
}
