package sending

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"time"
)

// maxAnswer bounds the bytes of an answer.
const maxAnswer = 64 << 10

// Options of a [Client].
type Options struct {
	// Timeout bounds each request, such as [Schedule.Timeout].
	Timeout time.Duration
	// Conns bounds the connections to a host.
	Conns int
	// TLS is nil for the defaults.
	TLS *tls.Config
}

// Client posts webhooks. It follows no redirect. It is safe for concurrent use.
type Client struct{ http *http.Client }

// NewClient returns a client that the caller closes.
func NewClient(o Options) *Client {
	return &Client{&http.Client{
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, TLSClientConfig: o.TLS, ForceAttemptHTTP2: true,
			MaxIdleConns: 4 * o.Conns, MaxIdleConnsPerHost: o.Conns, MaxConnsPerHost: o.Conns,
			IdleConnTimeout: 30 * time.Second, MaxResponseHeaderBytes: maxAnswer, TLSHandshakeTimeout: o.Timeout,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       o.Timeout,
	}}
}

// Close closes idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Post makes one attempt. The error never holds the address, which can have a path token. It
// wraps [ErrNoConnection], [ErrNoAnswer] or [ErrLost], unless the address is none.
func (c *Client) Post(ctx context.Context, address string, header http.Header, body []byte) (Answer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return Answer{}, withoutURL(err)
	}
	maps.Copy(req.Header, header)
	res, err := c.http.Do(req)
	if err != nil {
		return Answer{}, classed(withoutURL(err))
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return Answer{}, classed(fmt.Errorf("reading the answer: %w", err))
	}
	return Answer{Status: res.StatusCode, Body: text}, nil
}

func classed(err error) error {
	op, isOp := errors.AsType[*net.OpError](err)
	_, distrusted := errors.AsType[*tls.CertificateVerificationError](err)
	late, isNet := errors.AsType[net.Error](err)
	switch {
	case isOp && op.Op == "dial", distrusted:
		return fmt.Errorf("%w: %w", ErrNoConnection, err)
	case isNet && late.Timeout():
		return fmt.Errorf("%w: %w", ErrNoAnswer, err)
	}
	return fmt.Errorf("%w: %w", ErrLost, err)
}

func withoutURL(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}
