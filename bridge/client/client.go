// Package client calls the API of a bridge: to submit predictions through it, to announce
// predictions that were submitted without it, and to wait for their end.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/freshconn"
)

const (
	apiPath = "/api/v1/predictions"
	// callTimeout bounds a call. The bridge gives the provider less for a submission.
	callTimeout = 90 * time.Second
	// maxState and maxSubmitted bound an answer, in bytes. A state has limits of its own; a
	// submission's answer holds the provider's.
	maxState     = 4 << 20
	maxSubmitted = 32 << 20
	maxProblem   = 64 << 10
	maxIdleConns = 64
)

// Options of a [Client]. Zero values are defaults.
type Options struct {
	// Transport makes the requests. Nil is a transport like [http.DefaultTransport] that
	// belongs to the client.
	Transport http.RoundTripper
	// Token is one of admin.tokens, needed where the bridge has some. The client sends it to
	// base and nowhere else; over plain http whoever sees the connection can read it.
	Token string
	// Connection is called with the error when the stream of [Client.Live] or [Client.Follow]
	// breaks or the bridge does not answer, once until the bridge tells something again, and
	// then with nil. Nil is nobody. Each stream calls it from the goroutine that reads it.
	Connection func(err error)
}

// Client calls one bridge. It is safe for concurrent use.
type Client struct {
	base       string
	token      string
	connection func(error)
	http       *http.Client
}

// New returns a client of the bridge whose admin address is base, such as
// http://127.0.0.1:8081.
func New(base string, o Options) (*Client, error) {
	u, err := url.Parse(base)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New("the address of the bridge is none: write one such as http://127.0.0.1:8081")
	}
	if o.Transport == nil {
		own := &http.Transport{Proxy: http.ProxyFromEnvironment}
		if standard, ok := http.DefaultTransport.(*http.Transport); ok {
			own = standard.Clone()
		}
		own.MaxIdleConnsPerHost = maxIdleConns
		o.Transport = freshconn.New(own, 0)
	}
	if o.Connection == nil {
		o.Connection = func(error) {}
	}
	return &Client{
		base:       strings.TrimSuffix(base, "/"),
		token:      o.Token,
		connection: o.Connection,
		http: &http.Client{
			Transport: o.Transport,
			// A redirect means that base is the wrong address.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// Close closes idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Watch announces a prediction, so that its end becomes known also when its webhook does
// not come. Repeating a watch is safe, also after any error. The error is an [*Error] when
// the bridge answered. w.Submitted is ignored.
func (c *Client) Watch(ctx context.Context, w bridge.Watch) (*bridge.Watched, error) {
	if err := w.Check(time.Now()); err != nil {
		return nil, err
	}
	body, err := json.Marshal(bridge.WatchRequest{
		Model: w.Model, Deadline: w.Deadline, EstimatedDuration: w.EstimatedDuration, Reference: w.Reference, Tenant: w.Tenant, Metadata: w.Metadata,
	})
	if err != nil {
		return nil, fmt.Errorf("writing what is announced: %w", err)
	}
	var out bridge.Watched
	if err := c.call(ctx, http.MethodPut, route(w.Source, w.Prediction), nil, nil, body, maxState, &out); err != nil {
		return nil, err
	}
	return &out, nil
}

// Get returns the current state of a prediction. The error is an [*Error] with status 404
// when nothing is known of it.
func (c *Client) Get(ctx context.Context, source, id string) (*bridge.PredictionState, error) {
	return c.get(ctx, source, id, 0)
}

// get lets the bridge wait for the end for at most wait.
func (c *Client) get(ctx context.Context, source, id string, wait time.Duration) (*bridge.PredictionState, error) {
	if err := check(source, id); err != nil {
		return nil, err
	}
	query := url.Values{}
	if wait > 0 {
		query.Set("wait", wait.String())
	}
	var s bridge.PredictionState
	if err := c.call(ctx, http.MethodGet, route(source, id), query, nil, nil, maxState, &s); err != nil {
		return nil, err
	}
	return &s, nil
}

func check(source, id string) error {
	if err := bridge.CheckName("source", source); err != nil {
		return err
	}
	return bridge.CheckPredictionID(id)
}

// route returns an API path, each part being one segment.
func route(parts ...string) string {
	var path strings.Builder
	path.WriteString(apiPath)
	for _, p := range parts {
		path.WriteString("/" + url.PathEscape(p))
	}
	return path.String()
}

func (c *Client) call(ctx context.Context, method, path string, query url.Values, header http.Header, body []byte, limit int64, out any) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	res, err := c.send(ctx, method, path, query, header, body)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(res.Body, limit+1))
	if err != nil {
		return &connectionError{fmt.Errorf("reading the bridge's answer: %w", err)}
	}
	if int64(len(text)) > limit {
		return fmt.Errorf("reading the bridge's answer: it has more than %d bytes", limit)
	}
	if err := json.Unmarshal(text, out); err != nil {
		return fmt.Errorf("reading the bridge's answer: %w: is this the admin address of a bridge of this version?", err)
	}
	return nil
}

// send returns an answer with status 200, whose body the caller closes.
func (c *Client) send(ctx context.Context, method, path string, query url.Values, header http.Header, body []byte) (*http.Response, error) {
	address := c.base + path
	if len(query) > 0 {
		address += "?" + query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("asking the bridge: %w", withoutURL(err))
	}
	maps.Copy(req.Header, header)
	req.Header.Set("Content-Type", "application/json")
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, &connectionError{fmt.Errorf("asking the bridge at %s: %w: is it running, and is this its admin address?", req.URL.Host, withoutURL(err))}
	}
	if res.StatusCode != http.StatusOK {
		defer func() { _ = res.Body.Close() }()
		return nil, newError(res)
	}
	return res, nil
}

// withoutURL strips the address from err: it can hold private data.
func withoutURL(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}
