package app

import (
	"context"
	"errors"
	"io"
	"testing"

	"github.com/stretchr/testify/require"
)

// Parts end in the reverse order of their start, also after errors of others, and a background
// part ends only at its turn.
func TestCleanupOrder(t *testing.T) {
	t.Parallel()
	var onStop cleanup
	var order []string
	ended, end := context.WithCancel(t.Context())
	end()
	onStop.add("folder", func() error { order = append(order, "folder"); return io.EOF })
	onStop.background(ended, "admin", func(ctx context.Context) {
		<-ctx.Done()
		order = append(order, "admin")
	})
	onStop.add("store", func() error { order = append(order, "store"); return io.ErrUnexpectedEOF })
	err := onStop.run()
	require.Equal(t, []string{"store", "admin", "folder"}, order)
	require.True(t, errors.Is(err, io.EOF) && errors.Is(err, io.ErrUnexpectedEOF))
}
