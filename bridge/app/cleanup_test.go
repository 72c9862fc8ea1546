package app

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// What hangs does not hold up the end for ever.
func TestTheEndIsBounded(t *testing.T) {
	ended := make(chan error, 1)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	require.ErrorContains(t, endWithin(ctx, time.Millisecond, ended), "did not end within 1ms")
	ended <- io.EOF
	require.ErrorIs(t, endWithin(context.Background(), 0, ended), io.EOF)
	ended <- nil
	require.NoError(t, endWithin(ctx, time.Hour, ended))
}

// Things end in the reverse order of their beginning, each whatever the others
// do, and what runs in the background ends only when it is its turn.
func TestCleanupOrder(t *testing.T) {
	var onStop cleanup
	var order []string
	parent, cancel := context.WithCancel(context.Background())
	onStop.add("folder", func() error { order = append(order, "folder"); return io.EOF })
	onStop.background("admin", parent, func(ctx context.Context) error {
		<-ctx.Done()
		order = append(order, "admin")
		return nil
	})
	onStop.add("store", func() error { order = append(order, "store"); return io.ErrUnexpectedEOF })
	cancel()
	err := onStop.run()
	require.Equal(t, []string{"store", "admin", "folder"}, order)
	require.True(t, errors.Is(err, io.EOF) && errors.Is(err, io.ErrUnexpectedEOF))
}
