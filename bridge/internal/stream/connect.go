package stream

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/jsm.go/natscontext"
	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/lasting"
	"github.com/hookspan/hookspan/internal/redial"
)

// DefaultInboxPrefix keeps answers to this process out of inboxes that other users may read.
const DefaultInboxPrefix = "_INBOX_hookspan"

// ExternalConfig says how to reach an external NATS. At most one of Creds, NKeySeed, User
// and Token is set.
type ExternalConfig struct {
	// URL is one address or several, separated by commas.
	URL string
	// Creds is the path of a credentials file, read at each connection.
	Creds string
	// NKeySeed is the path of a file with an nkey seed.
	NKeySeed string
	User     string
	// Password returns the password of User, and is required with it; it is called at each
	// connection.
	Password func() string
	// Token returns the token that everybody has, called at each connection; nil without one.
	Token func() string
	// CA, Cert and Key are paths of PEM files; Cert and Key belong together.
	CA, Cert, Key string
	// Domain is the JetStream domain, empty for that of the server.
	Domain string
	// InboxPrefix is of the subjects of answers. Default [DefaultInboxPrefix].
	InboxPrefix string

	context *natscontext.Context // nil: none
}

// CheckExternal returns an error if a configured file cannot be used. It does not connect.
func CheckExternal(cfg ExternalConfig) error {
	if err := CheckFiles(cfg); err != nil {
		return err
	}
	if cfg.Creds != "" {
		if _, err := os.ReadFile(cfg.Creds); err != nil {
			return fmt.Errorf("reading the credentials: %w", err)
		}
	}
	return nil
}

// CheckFiles returns the error of a file without which [OpenExternal] would fail. It does not look
// for credentials, which may come later.
func CheckFiles(cfg ExternalConfig) error {
	options, err := cfg.files()
	if err != nil {
		return err
	}
	var into nats.Options
	for _, option := range options {
		if err := option(&into); err != nil {
			return fmt.Errorf("reading the files of nats.tls: %w", err)
		}
	}
	return nil
}

func (cfg ExternalConfig) files() ([]nats.Option, error) {
	if cfg.context != nil {
		return contextOptions(cfg.context)
	}
	var opts []nats.Option
	if cfg.NKeySeed != "" {
		opt, err := nats.NkeyOptionFromSeed(cfg.NKeySeed)
		if err != nil {
			return nil, fmt.Errorf("reading the nkey seed: %w", err)
		}
		opts = append(opts, opt)
	}
	if cfg.CA != "" {
		opts = append(opts, nats.RootCAs(cfg.CA))
	}
	if cfg.Cert != "" {
		opts = append(opts, nats.ClientCert(cfg.Cert, cfg.Key))
	}
	return opts, nil
}

// Connect returns a connection to an external NATS. Unreachable servers are no error: the
// connection retries for ever, and publishes fail at once meanwhile.
func Connect(cfg ExternalConfig, name string, log *zap.Logger) (*nats.Conn, error) {
	return cfg.connect(append(connOptions(name, cfg.InboxPrefix, log), nats.RetryOnFailedConnect(true)))
}

// connectOnce is [Connect] that fails when no server is reached, with options of its own.
func connectOnce(cfg ExternalConfig, name string, opts ...nats.Option) (*nats.Conn, error) {
	return cfg.connect(append(connOptions(name, cfg.InboxPrefix, zap.NewNop()), opts...))
}

// Nowhere is an [ExternalConfig.URL] that is never reached.
const Nowhere = "nats://nowhere"

type nowhere struct{}

func (nowhere) Dial(string, string) (net.Conn, error) {
	return nil, errors.New("the streams are being moved to another NATS")
}

func (cfg ExternalConfig) connect(opts []nats.Option) (*nats.Conn, error) {
	if cfg.URL == Nowhere {
		opts = append(slices.Clip(opts), nats.SetCustomDialer(nowhere{}))
	}
	files, err := cfg.files()
	if err != nil {
		return nil, err
	}
	opts = slices.Concat(opts, files)
	switch {
	case cfg.Creds != "":
		opts = append(opts, nats.UserCredentials(cfg.Creds))
	case cfg.Token != nil:
		opts = append(opts, nats.TokenHandler(cfg.Token))
	case cfg.User != "":
		opts = append(opts, nats.UserInfoHandler(func() (string, string) { return cfg.User, cfg.Password() }))
	}
	nc, err := nats.Connect(cfg.URL, opts...)
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err // without the address, which may contain a password
	}
	if err != nil {
		return nil, fmt.Errorf("connecting to NATS: %w", err)
	}
	return nc, nil
}

func connOptions(name, inbox string, log *zap.Logger) []nats.Option {
	log = log.Named("nats").With(zap.String("connection", name))
	return []nats.Option{
		nats.Name(name),
		nats.CustomInboxPrefix(cmp.Or(inbox, DefaultInboxPrefix)),
		// A publish without a connection must fail at once: a buffered one would be sent later,
		// after its caller was told that it failed.
		nats.ReconnectBufSize(-1),
		nats.MaxReconnects(-1),
		// Refused credentials may be accepted later, after a rotation or a fix in NATS.
		nats.IgnoreAuthErrorAbort(),
		nats.ReconnectWait(500 * time.Millisecond),
		nats.ReconnectJitter(250*time.Millisecond, time.Second),
		nats.Timeout(2 * time.Second),
		// Detects a half-open connection in 10 to 15 s.
		nats.PingInterval(5 * time.Second),
		nats.MaxPingsOutstanding(2),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				log.Warn("disconnected", zap.Error(err))
			}
		}),
		nats.ReconnectHandler(func(nc *nats.Conn) {
			log.Info("connected again", zap.String("server", nc.ConnectedServerName()))
		}),
		// A missing permission is reported only here.
		nats.ErrorHandler(func(_ *nats.Conn, sub *nats.Subscription, err error) {
			subject := ""
			if sub != nil {
				subject = sub.Subject
			}
			if Refused(err) { // repeated at each attempt; [connectionAlarms] raise one alarm
				log.Debug("credentials refused", zap.Error(err))
				return
			}
			log.Error("asynchronous error", zap.String("subject", subject), zap.Error(err))
		}),
	}
}

// OpenExternal returns a JetStream context on an external NATS. It connects as [Connect] does,
// and makes a new connection whenever one is closed for good. It raises an alarm while NATS
// refuses the credentials, and when NATS closes a connection with an error. Close must be
// called.
func OpenExternal(cfg ExternalConfig, name string, alarms bridge.Alarmer, log *zap.Logger) (*redial.JetStream, error) {
	told := &connectionAlarms{name: name, lasting: lasting.New(alarms), alarms: alarms, seed: cfg.NKeySeed}
	dial := func() (*nats.Conn, error) {
		return cfg.connect(append(connOptions(name, cfg.InboxPrefix, log), nats.RetryOnFailedConnect(true), nats.ReconnectErrHandler(told.failed)))
	}
	return redial.Open(dial, told.heard, log.Named("nats").With(zap.String("connection", name)).Sugar().Warnw, cfg.Domain)
}

// Open is [OpenExternal] for the embedded server.
func (e *Embedded) Open(name string, alarms bridge.Alarmer, log *zap.Logger) (*redial.JetStream, error) {
	told := &connectionAlarms{name: name, lasting: lasting.New(alarms), alarms: alarms}
	return redial.Open(func() (*nats.Conn, error) { return e.Connect(name, log) }, told.heard, log.Named("nats").With(zap.String("connection", name)).Sugar().Warnw, "")
}

type connectionAlarms struct {
	name    string
	lasting *lasting.Alarms
	alarms  bridge.Alarmer
	seed    string // path of an nkey seed, or empty

	mu sync.Mutex // of lasting
}

// failed is called with the error of each attempt to connect that fails, beside heard.
func (c *connectionAlarms) failed(nc *nats.Conn, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if nc.IsConnected() { // an error of before
		return
	}
	if unable, ok := errors.AsType[*Unable](explainConnection(err)); ok {
		c.lasting.Look(bridge.Alarm{
			Kind: bridge.AlarmNATSUnfit, Subject: unable.What, Over: "connection " + c.name + " to NATS is there again",
			Text: unable.Error() + "; webhooks wait in the journal meanwhile",
		})
	}
}

// heard is called at each attempt to connect, by one goroutine.
func (c *connectionAlarms) heard(nc *nats.Conn, status nats.Status) {
	c.mu.Lock()
	defer c.mu.Unlock()
	err := nc.LastError()
	switch {
	case status == nats.CONNECTED:
		c.lasting.Look()
	case status == nats.RECONNECTING && Refused(err):
		c.lasting.Look(bridge.Alarm{
			Kind: bridge.AlarmCredentials, Subject: c.name, Over: "NATS takes the credentials of connection " + c.name + " again",
			Text: fmt.Sprintf("NATS refuses the credentials of connection %s: put nats.creds, nats.nkey or nats.user and nats.password right, "+
				"or the users of NATS. They are tried again all the time; webhooks wait in the journal meanwhile, and nobody is given events", c.name),
			Details: map[string]any{"error": err.Error()},
		})
		if c.seedReplaced(nc) {
			nc.Close() // the next connection uses the new key
		}
	case status == nats.CLOSED && err != nil && !Refused(err):
		c.alarms.Raise(bridge.Alarm{
			Kind: bridge.AlarmConnection, Subject: c.name,
			Text:    fmt.Sprintf("NATS closed connection %s with an error, %q; it is made anew at once. %s", c.name, err, remedy(err)),
			Details: map[string]any{"error": err.Error()},
		})
	}
}

// remedy returns what to do about the error with which the server closed a connection.
func remedy(err error) string {
	if strings.Contains(strings.ToLower(err.Error()), "maximum payload") {
		return "A message is larger than the max_payload of NATS, which was lowered: raise it again, or lower ingress.max_body. " +
			"A webhook that NATS does not take any more stays in the journal, set aside"
	}
	return "If that comes again, look at the log and the configuration of NATS"
}

// Refused reports whether NATS does not take the credentials.
func Refused(err error) bool {
	for _, refusal := range []error{nats.ErrAuthorization, nats.ErrAuthExpired, nats.ErrAuthRevoked, nats.ErrAccountAuthExpired, nats.ErrNkeysNotSupported} {
		if errors.Is(err, refusal) {
			return true
		}
	}
	return false
}

// seedReplaced reports whether the seed file holds another key than the connection uses:
// nats.go reads the seed at each attempt, but the public key only once.
func (c *connectionAlarms) seedReplaced(nc *nats.Conn) bool {
	if c.seed == "" {
		return false
	}
	option, err := nats.NkeyOptionFromSeed(c.seed)
	var now nats.Options
	return err == nil && option(&now) == nil && now.Nkey != nc.Opts.Nkey
}
