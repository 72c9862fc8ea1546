package freeport

import (
	"net"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

// No port comes twice, nor one that somebody listens on, though each is free again at once.
func TestNext(t *testing.T) {
	t.Parallel()
	before, err := Next()
	require.NoError(t, err)
	taken, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(before+1)))
	if err == nil {
		defer func() { require.NoError(t, taken.Close()) }()
	}
	seen := map[int]bool{before: true, before + 1: true}
	for range 50 {
		port, err := Next()
		require.NoError(t, err)
		require.False(t, seen[port])
		seen[port] = true
	}
}
