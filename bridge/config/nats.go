package config

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/streams"
)

// NATS is where events are kept.
type NATS struct {
	// URL is the address of an external NATS, or several with commas between, such as
	// nats://nats-1:4222. Default empty: the embedded server.
	URL string `yaml:"url"`
	// Listen is the embedded server's address for other programs; empty lets none connect.
	// Beyond loopback the passwords travel in clear. Default 127.0.0.1:4222, or a free
	// port when that is taken.
	Listen *string `yaml:"listen"`
	// Context is a context of the nats command, in place of url, its credentials, tls, domain and
	// inbox_prefix: a name, whose file is ~/.config/nats/context/NAME.json of the user of the
	// process, or the path of such a file.
	Context string `yaml:"context"`
	// Creds is the path of a credentials file, for an external NATS. At most one of creds,
	// nkey, user and token is given.
	Creds string `yaml:"creds"`
	// NKey is the path of a file with an nkey seed, for an external NATS.
	NKey string `yaml:"nkey"`
	// User is the user of an external NATS. It comes with password.
	User string `yaml:"user"`
	// Password is that of user.
	Password SecretRef `yaml:"password"`
	// Token is that of an external NATS which has one token for everybody.
	Token SecretRef `yaml:"token"`
	// TLS is about the connection to an external NATS.
	TLS ClientTLS `yaml:"tls"`
	// Domain is the JetStream domain of the streams, where it is not that of the server which
	// the bridge connects to. Default empty: the server's own.
	Domain string `yaml:"domain"`
	// InboxPrefix begins the subjects on which an external NATS answers the bridge. Where users
	// share an account, one for each keeps them from reading each other's answers. Default
	// _INBOX_hookspan.
	InboxPrefix string `yaml:"inbox_prefix"`
	// Provision says what is done with streams, buckets and durables. create: they are made
	// what they are to be. verify: they are compared, and a difference is an alarm. none:
	// nothing is looked at. Default create.
	Provision string `yaml:"provision"`
	// Replicas of each stream when it is created: auto (3 in a cluster, 1 elsewhere), or a
	// number from 1 to 5. Default auto.
	Replicas string `yaml:"replicas"`
	// Placement says which servers of an external NATS keep the streams.
	Placement Placement `yaml:"placement"`
	// Prefix begins every subject, and in upper case every stream's name. Default hookspan.
	Prefix string `yaml:"prefix"`
	// Events is about the stream of events.
	Events Events `yaml:"events"`
}

// ClientTLS names the PEM files by which the bridge and an external NATS know each other.
type ClientTLS struct {
	// CA is the path of the authorities that are trusted. Default those of the system.
	CA string `yaml:"ca"`
	// Cert is the path of the client's certificate. It comes with key.
	Cert string `yaml:"cert"`
	// Key is the path of the client's private key.
	Key string `yaml:"key"`
}

// Placement says where streams are kept. A changed placement moves streams that exist.
type Placement struct {
	// Cluster is the name of the cluster. Default that of the server which the bridge is
	// connected to.
	Cluster string `yaml:"cluster"`
	// Tags are those that each server must have, as in its server_tags. Default none.
	Tags []string `yaml:"tags"`
}

// Events is about the stream of events.
type Events struct {
	// MaxBytes is the size of the stream; when it is full, deliveries are answered 503. The
	// other streams get a share of it beside it. Default 10GiB, at least ingress.max_body
	// and 64 KiB.
	MaxBytes ByteSize `yaml:"max_bytes"`
	// MaxAge is the age at which events are removed. Default 336h, at least 2h.
	MaxAge Duration `yaml:"max_age"`
}

// Values of NATS.Provision.
const (
	ProvisionCreate = "create" // make streams, buckets and durables as they should be
	ProvisionVerify = "verify" // raise alarms for differences
	ProvisionNone   = "none"   // look at nothing
)

// DefaultNATSListen is the embedded server's address when the file names none. When the address
// is taken, the bridge uses a free port beside it.
const DefaultNATSListen = "127.0.0.1:4222"

const (
	autoReplicas   = "auto"
	maxReplicas    = 5
	minEventsBytes = ByteSize(1 << 20)
)

var (
	provisionModes = []string{ProvisionCreate, ProvisionVerify, ProvisionNone}

	defaultNATS = NATS{
		Provision: ProvisionCreate,
		Replicas:  autoReplicas,
		Prefix:    bridge.DefaultPrefix,
		Events:    Events{MaxBytes: 10 << 30, MaxAge: Duration(14 * 24 * time.Hour)},
	}
)

func (n NATS) check(c *Config, found *Checker) {
	largest := c.Ingress.MaxBody + streams.HeaderRoom
	if least := max(minEventsBytes, largest); n.Events.MaxBytes < least {
		found.Fail("nats.events.max_bytes", "it is %v: use at least %v, so that the largest event fits", n.Events.MaxBytes, least)
	}
	if window := c.Duplicates(); n.Events.MaxAge < Duration(window) {
		found.Fail("nats.events.max_age", "it is %v: use at least %v, for which duplicates are known", n.Events.MaxAge, window)
	}
	found.Check("nats.prefix", bridge.CheckName("prefix", n.Prefix))
	found.oneOf("nats.provision", n.Provision, provisionModes)
	_, err := n.ReplicaCount()
	found.Check("nats.replicas", err)
	if n.Listen != nil && *n.Listen != "" && !isAddress(*n.Listen) {
		found.Fail("nats.listen", "use a host and a port, such as %s, or nothing", DefaultNATSListen)
	}
	if n.Context != "" {
		n.checkContext(found)
	}
	if n.External() && n.Listen != nil {
		found.Fail("nats.listen", "it is for the embedded server: remove it or nats.%s", n.where())
	}
	if n.URL != "" {
		for address := range strings.SplitSeq(n.URL, ",") {
			found.Check("nats.url", checkServer(address))
		}
	}
	n.checkCredentials(found)
	n.checkPlace(found)
}

// External reports whether the events are in an external NATS.
func (n NATS) External() bool { return n.URL != "" || n.Context != "" }

// where is the key that names the external NATS.
func (n NATS) where() string {
	if n.Context != "" {
		return "context"
	}
	return "url"
}

// Place names the external NATS in texts; it holds no credentials.
func (n NATS) Place() string {
	if n.Context != "" {
		return "context " + n.Context
	}
	return n.URL
}

// checkContext finds keys that say again what the context says.
func (n NATS) checkContext(found *Checker) {
	for _, other := range []struct {
		key   string
		given bool
	}{
		{"url", n.URL != ""},
		{"creds", n.Creds != ""},
		{"nkey", n.NKey != ""},
		{"user", n.User != ""},
		{"token", n.Token != ""},
		{"tls", n.TLS != ClientTLS{}},
		{"domain", n.Domain != ""},
		{"inbox_prefix", n.InboxPrefix != ""},
	} {
		if other.given {
			found.Fail("nats."+other.key, "nats.context says that: remove one of the two")
		}
	}
}

// checkPlace checks names that become parts of subjects, or of the settings of streams.
func (n NATS) checkPlace(found *Checker) {
	if n.Domain != "" && !isToken(n.Domain) {
		found.Fail("nats.domain", "use a name without points, spaces and wildcards")
	}
	if n.InboxPrefix != "" {
		for token := range strings.SplitSeq(n.InboxPrefix, ".") {
			if !isToken(token) {
				found.Fail("nats.inbox_prefix", "use a subject without wildcards, such as _INBOX_hookspan_ingress")
				break
			}
		}
	}
	for _, tag := range n.Placement.Tags {
		if strings.TrimSpace(tag) == "" {
			found.Fail("nats.placement.tags", "one is empty: remove it")
			break
		}
	}
	if !n.External() && (n.Domain != "" || n.InboxPrefix != "" || n.Placement.Cluster != "" || len(n.Placement.Tags) > 0) {
		found.Fail("nats", "domain, inbox_prefix and placement are for an external NATS: set nats.url or nats.context too")
	}
}

// isToken reports whether text can be one token of a subject.
func isToken(text string) bool {
	return text != "" && len(text) <= maxToken && !strings.ContainsFunc(text, func(r rune) bool {
		return r <= ' ' || r == 0x7f || strings.ContainsRune(".*>", r)
	})
}

const maxToken = 128

// checkServer repeats nothing of an address: people write passwords into it.
func checkServer(address string) error {
	u, err := url.Parse(strings.TrimSpace(address))
	switch {
	case err != nil || u.Host == "" || !slices.Contains([]string{"nats", "tls", "ws", "wss"}, u.Scheme):
		return errors.New("write addresses such as nats://nats-1:4222, with commas between")
	case u.User != nil:
		return errors.New("credentials do not belong here: use nats.user and nats.password, creds or nkey")
	}
	return nil
}

func (n NATS) checkCredentials(found *Checker) {
	given := 0
	for _, s := range []string{n.Creds, n.NKey, n.User, string(n.Token)} {
		if s != "" {
			given++
		}
	}
	if given > 1 {
		found.Fail("nats", "use only one of creds, nkey, user and token")
	}
	found.together("nats.user", "user and password", n.User, string(n.Password))
	found.together("nats.tls", "cert and key", n.TLS.Cert, n.TLS.Key)
	if !n.External() && (given > 0 || n.TLS != ClientTLS{}) {
		found.Fail("nats", "creds, nkey, user, token and tls are for an external NATS: set nats.url too")
	}
}

// ReplicaCount returns Replicas as a number, 0 for auto.
func (n NATS) ReplicaCount() (int, error) {
	if n.Replicas == autoReplicas {
		return 0, nil
	}
	r, err := strconv.Atoi(n.Replicas)
	if err != nil || r < 1 || r > maxReplicas {
		return 0, fmt.Errorf("use auto, or 1 to %d", maxReplicas)
	}
	if r > 1 && !n.External() {
		return 0, fmt.Errorf("the embedded server keeps one replica: use auto or 1")
	}
	return r, nil
}
