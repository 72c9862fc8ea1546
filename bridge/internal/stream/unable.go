package stream

import (
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookspan/hookspan/internal/natserr"
)

// Unable is why a NATS cannot serve a bridge as it is, in one line that says what to do. It is an
// [ErrUnfit], except when a stream that serves cannot be changed to what the configuration says.
type Unable struct {
	// What is version, limits, replicas, rights or tls.
	What string
	Text string
	// Err is what NATS or the client says, nil when they say nothing.
	Err error

	serves bool
}

// What of [Unable].
const (
	UnableVersion  = "version"
	UnableLimits   = "limits"
	UnableReplicas = "replicas"
	UnableRights   = "rights"
	UnableTLS      = "tls"
)

// Error implements error.
func (u *Unable) Error() string {
	if u.Err == nil {
		return u.Text
	}
	return u.Text + " (" + u.Err.Error() + ")"
}

// Unwrap returns what the error wraps.
func (u *Unable) Unwrap() (errs []error) {
	if !u.serves {
		errs = append(errs, ErrUnfit)
	}
	if u.Err != nil {
		errs = append(errs, u.Err)
	}
	return errs
}

// The oldest server that can serve a bridge: message schedules and atomic batches are of 2.12.
const oldestMajor, oldestMinor = 2, 12

// checkVersion refuses servers that lack what the streams need. Without a connection nobody knows.
func checkVersion(nc *nats.Conn) error {
	version := nc.ConnectedServerVersion()
	if version == "" || versionAtLeast(version, oldestMajor, oldestMinor) {
		return nil
	}
	return &Unable{What: UnableVersion, Text: fmt.Sprintf("NATS server %s has version %.20s, and Hookspan needs %d.%d or newer, for events that wait: upgrade nats-server",
		nc.ConnectedServerName(), version, oldestMajor, oldestMinor)}
}

// Codes of accounts whose limits are too small.
const (
	maxConsumers     jetstream.ErrorCode = 10026
	maxStreams       jetstream.ErrorCode = 10027
	maxBytesRequired jetstream.ErrorCode = 10113
	noLimits         jetstream.ErrorCode = 10120
	maxStreamBytes   jetstream.ErrorCode = 10122
)

// explain says what to do about an error that making a stream had, or changing one that serves.
// together are the streams of a bridge, and bytes their sizes.
func explain(err error, want jetstream.StreamConfig, serves bool, together int, bytes int64) error {
	unable := func(what, format string, args ...any) error {
		return &Unable{What: what, Text: fmt.Sprintf(format, args...), Err: err, serves: serves}
	}
	switch {
	case natserr.Is(err, natserr.NoPeers):
		return unable(UnableReplicas, "too few servers of NATS can keep stream %s now: start those that are away, or set nats.replicas and nats.placement to what there is", want.Name)
	case natserr.Is(err, natserr.NotClustered):
		return unable(UnableReplicas, "NATS is no cluster, and nats.replicas asks for %d: set it to 1 or auto", want.Replicas)
	case natserr.Is(err, maxStreams):
		return unable(UnableLimits, "the account may not have as many streams: raise its max_streams, Hookspan has %d", together)
	case natserr.Is(err, maxConsumers):
		return unable(UnableLimits, "the account does not allow a stream with %d consumers, %s: raise its max_consumers to that", want.MaxConsumers, want.Name)
	case natserr.Is(err, maxBytesRequired):
		return unable(UnableLimits, "the account demands max_bytes of each stream, and %s must have none: take max_bytes_required from the account", want.Name)
	case natserr.Is(err, maxStreamBytes):
		return unable(UnableLimits, "the account does not allow a stream of %d bytes, %s: raise its max_stream_bytes, or lower nats.events.max_bytes", want.MaxBytes, want.Name)
	case natserr.Is(err, natserr.AccountResources, natserr.StorageResources, natserr.NoResources, noLimits):
		return unable(UnableLimits, "NATS has no room for stream %s: all streams together want %d bytes of file storage for each replica. "+
			"Raise the max_file of the account or the server, or lower nats.events.max_bytes", want.Name, bytes)
	}
	return err
}

// Denied returns the [Unable] of rights that are missing, nil if none is.
func (t *Trial) Denied() error {
	const shown = 5
	if len(t.Missing) == 0 {
		return nil
	}
	names, more := t.Missing, ""
	if len(names) > shown {
		names, more = names[:shown], fmt.Sprintf(" and %d more", len(t.Missing)-shown)
	}
	return &Unable{What: UnableRights, Text: "the user of the bridge may not use " + strings.Join(names, ", ") + more + " in NATS: " + remedyOf(t.Missing)}
}

// remedyOf says what to do about missing rights: two settings of the bridge are often the reason.
func remedyOf(missing []string) string {
	has := func(right func(subject string) bool) bool { return slices.ContainsFunc(missing, right) }
	text := "let the operator of NATS grant that. hookspan doctor names all of them, and deploy/nats has the rights of each role"
	if has(func(s string) bool { return strings.Contains(s, ".STREAM.CREATE.") }) {
		text = "have hookspan provision make the streams as a user who may, and set nats.provision: verify for this one; or " + text
	}
	if has(isInbox) {
		text = "set nats.inbox_prefix to the inbox that this user has, in deploy/nats _INBOX_hookspan_ and the name of the user; or " + text
	}
	return text
}

func isInbox(subject string) bool { return strings.HasPrefix(subject, "_INBOX") }

// explainConnection says what to do about certificates that do not fit. It returns other errors as
// they are.
func explainConnection(err error) error {
	unable := func(text string) error { return &Unable{What: UnableTLS, Text: text, Err: err} }
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok && invalid.Reason == x509.Expired {
		return unable("the certificate of NATS is of another time: renew it, or see to the clock of this machine")
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return unable("nobody that is trusted has signed the certificate of NATS: name the authority with nats.tls.ca")
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return unable("the certificate of NATS is for another name: write the name that it has in nats.url, or issue one for this name")
	}
	if err == nil {
		return nil
	}
	text := err.Error()
	for _, alert := range []string{"tls: certificate required", "tls: bad certificate", "tls: unknown certificate authority", "tls: expired certificate", "tls: handshake failure", "closed by remote after TLS handshake"} {
		if strings.Contains(text, alert) {
			return unable("NATS does not take the certificate of this bridge, or the lack of one: see to nats.tls.cert and nats.tls.key")
		}
	}
	if errors.Is(err, nats.ErrSecureConnWanted) {
		return unable("NATS has no TLS, and nats.url or nats.tls asks for it: give NATS a certificate, or write nats:// without nats.tls")
	}
	return err
}
