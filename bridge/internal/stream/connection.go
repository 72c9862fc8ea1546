package stream

import (
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/redial"
)

// OpenExternal returns a JetStream context on an external NATS. It connects as
// [Connect] does, and again whenever a connection was closed for good. While NATS
// refuses the credentials, and when it closes a connection with an error, that is an
// alarm. Close must be called.
func OpenExternal(cfg ExternalConfig, name string, alarms bridge.Alarmer, log *zap.Logger) (*redial.JetStream, error) {
	told := connectionAlarms{name: name, alarms: alarms, seed: cfg.NKeySeed}
	return redial.Open(func() (*nats.Conn, error) { return Connect(cfg, name, log) }, told.heard, log.Named("nats").With(zap.String("connection", name)).Sugar().Warnw)
}

// Open is [OpenExternal] for the server of this process.
func (e *Embedded) Open(name string, alarms bridge.Alarmer, log *zap.Logger) (*redial.JetStream, error) {
	told := connectionAlarms{name: name, alarms: alarms}
	return redial.Open(func() (*nats.Conn, error) { return e.Connect(name, log) }, told.heard, log.Named("nats").With(zap.String("connection", name)).Sugar().Warnw)
}

// connectionAlarms tell people of what keeps a connection from being one.
type connectionAlarms struct {
	name   string
	alarms bridge.Alarmer
	seed   string // path of an nkey seed, or empty
}

// heard is told of each status that the connection takes on.
func (c connectionAlarms) heard(nc *nats.Conn, status nats.Status) {
	err := nc.LastError()
	switch {
	case status == nats.RECONNECTING && refused(err):
		c.alarms.Raise(bridge.Alarm{
			Kind: bridge.AlarmCredentials, Subject: c.name,
			Text: fmt.Sprintf("NATS refuses the credentials of connection %s: put nats.creds, nats.nkey or nats.user and nats.password right, "+
				"or the users of NATS. They are tried again all the time; webhooks go into the spool meanwhile, and nobody is given events", c.name),
			Details: map[string]any{"error": err.Error()},
		})
		if c.seedReplaced(nc) {
			nc.Close() // the next connection presents the new key
		}
	case status == nats.CLOSED && err != nil && !refused(err):
		c.alarms.Raise(bridge.Alarm{
			Kind: bridge.AlarmConnection, Subject: c.name,
			Text:    fmt.Sprintf("NATS closed connection %s with an error, %q; it is made anew at once. %s", c.name, err, remedy(err)),
			Details: map[string]any{"error": err.Error()},
		})
	}
}

// remedy says what to do about an error with which the server closed a connection.
func remedy(err error) string {
	if strings.Contains(strings.ToLower(err.Error()), "maximum payload") {
		return "A message is larger than the max_payload of NATS, which was lowered: raise it again, or lower ingress.max_body. " +
			"A webhook that NATS does not take any more stays in the spool, set aside"
	}
	return "If that comes again, look at the log and the configuration of NATS"
}

// refused reports whether err says that the server does not accept the credentials.
func refused(err error) bool {
	for _, refusal := range []error{nats.ErrAuthorization, nats.ErrAuthExpired, nats.ErrAuthRevoked, nats.ErrAccountAuthExpired, nats.ErrNkeysNotSupported} {
		if errors.Is(err, refusal) {
			return true
		}
	}
	return false
}

// seedReplaced reports whether the seed's file holds another key than the connection
// presents: nats.go reads the seed at each attempt, and the public key only once.
func (c connectionAlarms) seedReplaced(nc *nats.Conn) bool {
	if c.seed == "" {
		return false
	}
	option, err := nats.NkeyOptionFromSeed(c.seed)
	var now nats.Options
	return err == nil && option(&now) == nil && now.Nkey != nc.Opts.Nkey
}
