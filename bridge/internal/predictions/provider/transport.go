package provider

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"time"

	"github.com/hookspan/hookspan/internal/freshconn"
)

const (
	// maxHeader bounds an answer's header, in bytes.
	maxHeader = 64 << 10
	// maxConns bounds the connections for polls and for submissions, each.
	maxConns = 128
	maxIdle  = 16
	// idleTimeout is how long an unused connection is kept.
	idleTimeout = 30 * time.Second
)

// newHTTP returns a client; headerTimeout 0 is no limit.
func newHTTP(cfg Config, headerTimeout time.Duration) *http.Client {
	plain := &net.Dialer{Timeout: cfg.ConnectTimeout}
	secure := &tls.Dialer{NetDialer: plain, Config: &tls.Config{RootCAs: cfg.roots, MinVersion: tls.VersionTLS12}}
	protocols := new(http.Protocols)
	// Over HTTP/2 all requests would share one connection and hang together.
	protocols.SetHTTP1(true)
	return &http.Client{
		Transport: freshconn.New(&http.Transport{
			Proxy:                  nil, // the key goes to the provider alone
			Protocols:              protocols,
			DialContext:            counted(plain.DialContext),
			DialTLSContext:         counted(secure.DialContext),
			ResponseHeaderTimeout:  headerTimeout,
			MaxResponseHeaderBytes: maxHeader,
			MaxConnsPerHost:        maxConns,
			MaxIdleConnsPerHost:    maxIdle,
			IdleConnTimeout:        idleTimeout,
			DisableCompression:     true, // a small compressed answer could be huge
		}, 0),
		// The key stays with its host, so redirects are not followed.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

type dial func(ctx context.Context, network, address string) (net.Conn, error)

func counted(next dial) dial {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := next(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &countingConn{Conn: conn}, nil
	}
}

// countingConn counts the bytes that HTTP has written. So it is known whether any of a
// failed request has left: the server may close a kept connection at any time.
type countingConn struct {
	net.Conn

	written atomic.Int64
}

func (c *countingConn) Write(p []byte) (int, error) {
	c.written.Add(int64(len(p))) // until the write returns, all of it may have left
	n, err := c.Conn.Write(p)
	c.written.Add(int64(n - len(p)))
	return n, err
}

// sending watches one request.
type sending struct {
	conn atomic.Pointer[countingConn] // nil: the request found no connection
	from atomic.Int64                 // the bytes written to conn before
}

func (s *sending) trace(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) {
		if conn, ok := info.Conn.(*countingConn); ok {
			s.from.Store(conn.written.Load())
			s.conn.Store(conn)
		}
	}})
}

// begun reports whether any of the request may have reached the provider.
func (s *sending) begun() bool {
	conn := s.conn.Load()
	return conn != nil && conn.written.Load() > s.from.Load()
}
