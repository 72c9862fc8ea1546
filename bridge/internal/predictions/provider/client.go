// Package provider speaks the REST API of a provider: it polls for predictions and submits
// them. A [source.API] says how predictions of a provider are polled. Predictions are submitted as
// Get3W documents it: v3, whose answers have an envelope, and v1, whose answers are the bare
// prediction.
package provider

import (
	"cmp"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge/internal/source"
)

// ErrNoKey means that the client has no key and sent nothing.
var ErrNoKey = errors.New("no API key")

// Config of a [Client].
type Config struct {
	// Source is the configured source's name, for messages.
	Source string
	// BaseURL is the API's address, without a slash at the end.
	BaseURL string
	// API says how a prediction is polled; its address does not count.
	API source.API
	// Key is sent in the headers that API names, only to the host of BaseURL. Submissions
	// send it as a bearer token (RFC 6750). It may be empty until [Client.SetKey].
	Key []byte
	// MaxBody bounds an answer, in bytes.
	MaxBody int64
	// ConnectTimeout bounds a connection's setup with its TLS handshake, default 5 s.
	ConnectTimeout time.Duration
	// HeaderTimeout bounds the wait for the headers of a poll's answer, default 15 s. A
	// submission may take Timeout: giving it up early could lose the prediction.
	HeaderTimeout time.Duration
	// Timeout bounds a poll, and a submission that is not streamed, with its tries and its
	// whole answer, default 30 s.
	Timeout time.Duration
	// UserAgent is the client's User-Agent.
	UserAgent string
	// Logger may be nil.
	Logger *zap.Logger

	roots *x509.CertPool // for tests; nil is the system's
}

func (c Config) withDefaults() Config {
	c.ConnectTimeout = cmp.Or(c.ConnectTimeout, 5*time.Second)
	c.HeaderTimeout = cmp.Or(c.HeaderTimeout, 15*time.Second)
	c.Timeout = cmp.Or(c.Timeout, 30*time.Second)
	c.Logger = cmp.Or(c.Logger, zap.NewNop())
	return c
}

// Client calls one provider. It is safe for concurrent use. Its zero value is not usable,
// see [New].
type Client struct {
	cfg Config
	key atomic.Pointer[[]byte]
	// Polls and submissions have separate connections, so that neither take those of the
	// other when answers hang.
	polls, submits *http.Client
}

// New returns a client. The error never holds the key.
func New(cfg Config) (*Client, error) {
	cfg = cfg.withDefaults()
	u, err := url.Parse(cfg.BaseURL)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New("the address of the provider's API is none such as https://api.get3w.com/api/v3")
	}
	cfg.BaseURL = strings.TrimSuffix(cfg.BaseURL, "/")
	c := &Client{cfg: cfg, polls: newHTTP(cfg, cfg.HeaderTimeout), submits: newHTTP(cfg, 0)}
	return c, c.SetKey(cfg.Key)
}

// maxKey bounds a key, in bytes.
const maxKey = 4 << 10

// CheckKey returns an error, without the key in it, unless the key can stand in a header.
func CheckKey(key []byte) error {
	if len(key) > maxKey {
		return fmt.Errorf("the API key has %d bytes, at most %d are possible", len(key), maxKey)
	}
	for i, b := range key {
		if b <= ' ' || b >= 0x7f {
			return fmt.Errorf("the API key has a byte at %d that no key can have: it is made of visible ASCII characters", i)
		}
	}
	return nil
}

// SetKey sets the key of requests that begin from now on; empty means no key.
func (c *Client) SetKey(key []byte) error {
	if err := CheckKey(key); err != nil {
		return err
	}
	own := append([]byte{}, key...)
	c.key.Store(&own)
	return nil
}

// HasKey reports whether the client has a key.
func (c *Client) HasKey() bool { return len(*c.key.Load()) > 0 }

// Close closes idle connections.
func (c *Client) Close() {
	c.polls.CloseIdleConnections()
	c.submits.CloseIdleConnections()
}

func (c *Client) errNoKey() error {
	return fmt.Errorf("%w: set sources.%s.api.key", ErrNoKey, c.cfg.Source)
}
