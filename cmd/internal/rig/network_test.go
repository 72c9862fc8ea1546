package rig

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// echoServer answers with what it is sent.
func echoServer(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(conn, conn)
				_ = conn.Close()
			}()
		}
	}()
	return listener.Addr().String()
}

// echoes reports whether what is sent comes back; silent says that nothing at all
// comes, not even the end.
func echoes(t *testing.T, conn net.Conn) (comes, silent bool) {
	t.Helper()
	if _, err := conn.Write([]byte("x")); err != nil {
		return false, false
	}
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(200*time.Millisecond)))
	_, err := io.ReadFull(conn, make([]byte, 1))
	return err == nil, errors.Is(err, os.ErrDeadlineExceeded)
}

func TestProxy(t *testing.T) {
	p := testRig(t).StartProxy(echoServer(t))
	dial := func() net.Conn {
		conn, err := net.Dial("tcp", p.Addr)
		require.NoError(t, err)
		t.Cleanup(func() { _ = conn.Close() })
		return conn
	}
	first := dial()
	comes, _ := echoes(t, first)
	require.True(t, comes)

	p.Set(Swallowing)
	_, silent := echoes(t, first)
	require.True(t, silent, "it is open, and nothing comes through")
	_, silent = echoes(t, dial())
	require.True(t, silent)

	p.Set(Passing)
	_, silent = echoes(t, first)
	require.True(t, silent, "what was swallowed once stays dead")
	last := dial()
	comes, _ = echoes(t, last)
	require.True(t, comes)

	p.Set(Cut)
	comes, silent = echoes(t, last)
	require.False(t, comes || silent, "it is closed")
}
