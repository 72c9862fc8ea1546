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

// The ports of a block that another process holds are given to nobody else.
func TestBlockOfAnotherProcess(t *testing.T) {
	one, err := Next()
	require.NoError(t, err)
	start := first + ((one-first)/block+1)%(count/block)*block
	if other, err := listen(start); err == nil { // otherwise a process holds it really
		defer func() { require.NoError(t, other.Close()) }()
	}
	for range 2 * block {
		port, err := Next()
		require.NoError(t, err)
		require.NotEqual(t, start, port/block*block)
	}
}
