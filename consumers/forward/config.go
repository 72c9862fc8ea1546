package forward

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"time"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/consumers"
)

// Mode is how an event is written into a request, see the CloudEvents HTTP protocol binding
// 1.0.2, section 3.
type Mode string

// The modes. In both of them the query values, the trace and Hookspan's own attributes are
// headers.
const (
	// Binary sends the body as the sender wrote it, with the attributes in headers.
	Binary Mode = "binary"
	// Structured sends one JSON document with the attributes and the body.
	Structured Mode = "structured"
)

// Modes are all modes.
var Modes = []string{string(Binary), string(Structured)}

// DefaultRefuse are the status codes by which a target says that it never wants an event. 410
// says so of every event, see [bridge.AlarmTargetGone].
var DefaultRefuse = []int{400, 413, 422}

const (
	// DefaultConcurrency is Config.Concurrency when it is zero.
	DefaultConcurrency = 8
	// DefaultTimeout is Config.Timeout when it is zero.
	DefaultTimeout = 30 * time.Second
	// DefaultConnectTimeout is Config.ConnectTimeout when it is zero.
	DefaultConnectTimeout = 5 * time.Second
	// maxURL bounds the target's address, in bytes.
	maxURL = 8 << 10
)

// Config is for [New]. The zero value of a field is the default that the field names.
type Config struct {
	// Name is the name of the consumer, required; see [bridge.CheckName]. It is part of the
	// idempotency key.
	Name string
	// URL is the target's address, required; see [CheckURL].
	URL string
	// Mode is how events are written, default [Binary].
	Mode Mode
	// Secrets sign requests, see [CheckSecret]; at least one. Each of them makes a signature, in
	// this order, so that a target finds one that it can verify while secrets are changed. New
	// copies them.
	Secrets [][]byte
	// Refuse are the status codes that make a dead letter at once, default [DefaultRefuse];
	// empty and not nil leaves only 410. See [CheckStatus].
	Refuse []int
	// AllowPrivate also permits loopback and private networks: those of RFC 1918,
	// RFC 4193 and RFC 6598.
	AllowPrivate bool
	// AllowNetworks are networks that are permitted too. Into permitted networks http is also
	// permitted.
	AllowNetworks []netip.Prefix
	// Concurrency is the largest number of connections, default [DefaultConcurrency]. Use that
	// of the consumer.
	Concurrency int
	// ConnectTimeout bounds the wait for a connection, and then for its TLS
	// handshake, default [DefaultConnectTimeout].
	ConnectTimeout time.Duration
	// HeaderTimeout bounds the wait for the header of the answer after the request was sent;
	// zero leaves that to Timeout.
	HeaderTimeout time.Duration
	// Timeout bounds one request and its answer, default [DefaultTimeout].
	Timeout time.Duration
	// Breaker says when the target is left alone for a while.
	Breaker Breaker
	// UserAgent is the header User-Agent, default "Hookspan".
	UserAgent string
	// Resolver looks up the name of the target, default net.DefaultResolver.
	Resolver *net.Resolver
	// Alarms gets an alarm when a person should look. Nil raises none.
	Alarms bridge.Alarmer
	// Logger gets a line when the target is left alone, and when it works again. Nil logs
	// nothing.
	Logger *slog.Logger
}

func (c Config) withDefaults() Config {
	c.Mode = cmp.Or(c.Mode, Binary)
	if c.Refuse == nil {
		c.Refuse = DefaultRefuse
	}
	c.Concurrency = cmp.Or(c.Concurrency, DefaultConcurrency)
	c.ConnectTimeout = cmp.Or(c.ConnectTimeout, DefaultConnectTimeout)
	c.Timeout = cmp.Or(c.Timeout, DefaultTimeout)
	c.Breaker = c.Breaker.withDefaults()
	c.UserAgent = cmp.Or(c.UserAgent, "Hookspan")
	c.Logger = cmp.Or(c.Logger, slog.New(slog.DiscardHandler))
	if c.Alarms == nil {
		c.Alarms = bridge.NoAlarms{}
	}
	return c
}

func (c Config) validate() error {
	if err := bridge.CheckName("consumer", c.Name); err != nil {
		return err
	}
	if _, err := CheckURL(c.URL, c.AllowPrivate || len(c.AllowNetworks) > 0); err != nil {
		return fmt.Errorf("consumer %s: url: %w", c.Name, err)
	}
	for _, status := range c.Refuse {
		if err := CheckStatus(status); err != nil {
			return fmt.Errorf("consumer %s: refuse: %w", c.Name, err)
		}
	}
	switch {
	case !slices.Contains(Modes, string(c.Mode)):
		return fmt.Errorf("consumer %s: mode is %.40q: use %s or %s", c.Name, c.Mode, Binary, Structured)
	case c.Concurrency < 0 || c.Concurrency > consumers.MaxConcurrency:
		return fmt.Errorf("consumer %s: concurrency is %d, it must be 1 to %d", c.Name, c.Concurrency, consumers.MaxConcurrency)
	case c.ConnectTimeout < 0 || c.HeaderTimeout < 0 || c.Timeout < 0:
		return fmt.Errorf("consumer %s: connect timeout %v, header timeout %v, timeout %v: none may be negative",
			c.Name, c.ConnectTimeout, c.HeaderTimeout, c.Timeout)
	}
	if err := c.Breaker.validate(); err != nil {
		return fmt.Errorf("consumer %s: breaker: %w", c.Name, err)
	}
	return nil
}

// CheckURL parses a target's address: https, or with plain also http, with a host, and without
// user, password and fragment. The error repeats nothing of the address, which may hold a
// secret.
func CheckURL(address string, plain bool) (*url.URL, error) {
	u, err := url.Parse(address)
	switch {
	case address == "":
		return nil, errors.New("it is empty: write the address of the service, such as https://billing.example.com/hooks")
	case err != nil || len(address) > maxURL || u.Hostname() == "" || (u.Scheme != "https" && u.Scheme != "http"):
		return nil, errors.New("this is no address: write one such as https://billing.example.com/hooks")
	case u.User != nil:
		return nil, errors.New("user and password do not belong here: requests are signed, see secret")
	case u.Fragment != "":
		return nil, errors.New("a part after # is never sent: remove it")
	case u.Scheme == "http" && !plain:
		return nil, errors.New("http is permitted into private networks only: use https, or name the network in allow_networks, or set allow_private")
	}
	return u, nil
}

// CheckStatus returns an error unless Config.Refuse may hold the status code.
func CheckStatus(status int) error {
	if status < 300 || status > 599 {
		return fmt.Errorf("%d is no status code that can refuse: use 300 to 599", status)
	}
	return nil
}
